"""Published values: the printed changes and percentages agree, and they appear only beside equal settings."""

from __future__ import annotations

from typing import Any

import pytest

from graded.analysis import published
from graded.languages import language_name
from tests.analysis.made import row


def test_printed_changes_and_percentages_of_table_1_agree() -> None:
    for target, cells in published.load()["table1"]["targets"].items():
        assert set(cells["extra"]) == {"fi", "ar", "ru", "es", "en"} - {target}
        for extra, by_tau in cells["extra"].items():
            for tau, cell in by_tau.items():
                alone = cells["alone"][tau]
                # The paper prints changes with two to four decimals: the percentage is known to about 0.7.
                assert cell["change"] / alone * 100 == pytest.approx(cell["percent"], abs=0.7), (target, extra, tau)


def test_known_cells() -> None:
    arabic = row(target="ar", query_lang="ar", doc_lang="ar", tau_target=2.0)
    assert published.table1(arabic) == (0.762, "Table 1 (Section 5)", False)
    mixed = arabic | {"extra": "en", "extra_size": 150_000, "tau_extra": 2.0}
    assert published.table1(mixed) == (-18.63, "Table 1 (Section 5)", True)
    across = row(set="clirmatrix", target="ja", query_lang="ja", doc_lang="ru", size=300_000)
    assert published.table2(across, (1.0, 3.0)) == (-11.73, "Table 2 (Section 6)", True)
    assert published.reference("miracl", "nDCG@10")[0]["values"]["fi"] == 0.5513


@pytest.mark.parametrize(
    "change",
    [
        {"set": "sample"}, {"size": 50_000}, {"annotator": "gemma-3-27b"}, {"objective": "bixse"}, {"share_mined": 0.5},
        {"encoder": "intfloat/multilingual-e5-small"}, {"metric": "MRR@10"}, {"count": "positives"},
        {"tau_target": 1.5}, {"doc_lang": "ru"}, {"target": "all"}, {"extra": "ja", "extra_size": 150_000},
        {"annotator": "gpt-4o-mini"}, {"annotator": "gpt-4o-mini-2024-07-18"}, {"annotator": "gpt-4"},
        {"encoder": "intfloat/multilingual-e5-large-instruct"}, {"encoder": "other/multilingual-e5-large"},
        {"epochs": 3}, {"epochs": None}, {"batch_size": 64}, {"learning_rate": 2e-5}, {"learning_rate": None},
        {"warmup_ratio": 0.1}, {"lora_rank": 8},
        {"extra": "en", "extra_size": 50_000}, {"extra": "en", "extra_size": 150_000, "tau_extra": 3.0},
    ],
)  # fmt: skip
def test_no_published_value_beside_other_settings(change: dict[str, Any]) -> None:
    same = row(target="ar", query_lang="ar", doc_lang="ar", tau_target=1.0)
    assert published.table1(same) is not None
    assert published.table1(same | change) is None


@pytest.mark.parametrize(
    "change", [{"annotator": "gpt-4o-2024-11-20"}, {"annotator": "GPT-4o"}, {"encoder": "multilingual-e5-large"}]
)
def test_snapshots_and_short_names_are_the_same_models(change: dict[str, Any]) -> None:
    assert published.table1(row(target="ar", query_lang="ar", doc_lang="ar") | change) is not None


def test_a_published_number_is_shown_as_printed() -> None:
    arabic = row(target="ar", query_lang="ar", doc_lang="ar")
    alone, mixed = (published.table1(arabic | {"extra": extra, "extra_size": 150_000}) for extra in (None, "en"))
    assert alone is not None
    assert mixed is not None
    assert (alone.printed, mixed.printed) == ("0.771", "-6.35%")


def test_table_2_needs_its_taus_and_settings() -> None:
    same = row(set="clirmatrix", target="ar", query_lang="ar", doc_lang="en", size=300_000)
    assert published.table2(same, (1.0, 3.0)) == (-6.54, "Table 2 (Section 6)", True)
    assert published.table2(same, (1.0, 2.0)) is None
    assert published.table2(same | {"size": 150_000}, (1.0, 3.0)) is None
    assert published.table2(same | {"target": "all"}, (1.0, 3.0)) is None
    assert published.reference("sample", "nDCG@10") == []


def test_languages_stand_in_the_papers_order() -> None:
    assert published.in_order({"en", "xx", "ar", "fi"}) == ["fi", "ar", "en", "xx"]
    assert (language_name("ar"), language_name("xx")) == ("Arabic", "xx")
