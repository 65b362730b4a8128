"""Arms: only rows that differ in nothing but the seed are averaged, in every figure and table."""

from __future__ import annotations

from typing import Any

import pytest

from graded.analysis import arms, catalogue
from graded.analysis.figures import Figure
from graded.analysis.tables import Table
from graded.errors import DataError
from tests.analysis.made import row

pytestmark = pytest.mark.xdist_group("vega")


def one(name: str, value: float, **values: Any) -> dict[str, Any]:
    """Return a row with a value and an experiment's name of its own."""
    return row(experiment=name, value=value, **values)


def drawn(rows: list[dict[str, Any]], name: str) -> list[Figure]:
    return [figure for figure in catalogue.figures(rows) if figure.name.startswith(name)]


def laid(rows: list[dict[str, Any]], name: str) -> list[Table]:
    return [table for table in catalogue.tables(rows) if table.name.startswith(name)]


def caption(rows: list[dict[str, Any]], name: str) -> str:
    """Return the caption of the one figure or table of that name."""
    (found,) = [figure.caption for figure in drawn(rows, name)] + [table.caption for table in laid(rows, name)]
    return found


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in line] for line in table.rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": "other"}, "encoder"), ({"annotator": "gpt-4"}, "annotator"), ({"objective": "bixse"}, "objective"),
        ({"share_mined": 0.0}, "share_mined"), ({"recipe": "2 epochs #0"}, "recipe"),
        ({"count": "positives"}, "counts"),
        ({"target": "all"}, "target"), ({"tau_target": 2.0}, "tau"), ({"size": 50_000}, "size"),
        ({"extra": "en"}, "extra"), ({"doc_lang": "en"}, "doc_lang"), ({"metric": "MRR@10"}, "metric"),
    ],
)  # fmt: skip
def test_rows_that_differ_in_more_than_the_seed_have_no_mean(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=f"differ in .*{says}.* are no seeds of one arm"):
        arms.pooled([row(), row(seed=14) | change])


def test_each_seed_counts_once() -> None:
    again = [one("a", 0.3), one("b", 0.5, seed=14), one("c", 0.1)]
    assert arms.pooled(again)[0] == pytest.approx(0.3)
    assert [found["experiment"] for found in arms.seeds(again)] == ["c", "b"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"target": "all", "tau": "2", "tau_target": 2.0}, "2"),
        ({"target": "all", "tau": "default=2,fi=1"}, "2, fi 1"),
        ({"target": "all", "tau": "default=2,ar=2,fi=1"}, "2, fi 1"),
        ({"target": "all", "tau": "default=1,fi=1"}, "1"),
        ({"target": "all", "tau": "ar=1,fi=1"}, "1"),
        ({"target": "all", "tau": "ar=2,fi=1"}, "ar 2, fi 1"),
        ({"tau": "default=2,fi=1"}, "1"),
        ({"tau": "default=2,fi=1", "extra": "en", "tau_extra": 2.0}, "fi 1, en 2"),
        ({"tau": "1", "extra": "en", "tau_extra": 1.0}, "1"),
    ],
)
def test_equal_thresholds_have_one_text(values: dict[str, Any], expected: str) -> None:
    assert arms.tau(row(**values)) == expected


def test_mappings_of_tau_are_lines_of_their_own() -> None:
    rows = [
        one(f"{tau}{size}", value, target="all", tau=tau, tau_target=own, size=size)
        for size in (200, 400)
        for tau, own, value in (("1", 1.0, 0.3), ("default=2,fi=1", 1.0, 0.7), ("default=2,ar=2", 2.0, 0.5))
    ]
    (figure,) = drawn(rows, "curves")
    assert [key.label for key in figure.legend] == ["τ = 1", "τ = 2", "τ = 2, fi 1", "base encoder"]
    assert {(one["tau"], one["value"], one["seeds"]) for one in figure.rows} == {
        ("1", 0.3, 1), ("2", 0.5, 1), ("2, fi 1", 0.7, 1)
    }  # fmt: skip


def test_captions_name_the_taus_that_an_axis_of_tau_leaves_out() -> None:
    crossed = [
        one(f"{tau}{lang}{doc}", 0.5, target="all", query_lang=lang, doc_lang=doc, tau=tau, tau_target=own)
        for lang, doc in (("fi", "ar"), ("ar", "fi"), ("fi", "fi"), ("ar", "ar"))
        for tau, own in (("1", 1.0), ("3", 3.0), ("default=2,fi=1", 1.0), ("ar=3,fi=1", 1.0))
    ]
    mixed = [
        one(f"{own}{other}{extra}", 0.5, extra=extra, extra_size=100, tau_target=own, tau_extra=other)
        for own, other in ((1.0, 1.0), (3.0, 3.0), (1.0, 3.0))
        for extra in ("ar", None)
    ]
    said = "Left out, as each language has a τ of its own: "
    for rows, name, apart in (
        (crossed, "across", "2, fi 1; ar 3, fi 1"),
        (crossed, "table2", "2, fi 1; ar 3, fi 1"),
        (mixed, "table1", "fi 1, ar 3"),
    ):
        assert f"{said}{apart}." in caption(rows, name)
        assert said not in caption([row for row in rows if arms.uniform(row)], name)
    many = [crossed[0] | {"tau": f"default=2,fi={at / 10}"} for at in range(1, 10)]
    assert arms.without(many).endswith("; 2, fi 0.6 and 3 more.")


def test_all_there_is_has_one_size_at_each_tau() -> None:
    rows = [
        one(str(tau), 0.5, doc_lang="en", tau_target=tau, size=None, count="positives", train_positives=positives)
        for tau, positives in ((1.0, 300), (3.0, 100))
    ]
    (figure,) = drawn(rows, "across")
    assert [one["tau"] for one in figure.rows] == [1.0, 3.0]


def test_positives_are_called_so() -> None:
    rows = [one(str(size), 0.5, size=size, count="positives") for size in (200, 400)]
    (figure,) = drawn(rows, "curves")
    assert "against the number of positives, by threshold" in figure.caption
    said = figure.panels[0].chart.to_json(validate=False)
    assert '"title": "positives"' in said
    assert "200 positives" in said
    assert "graded pairs" not in figure.caption + said


def test_sizes_of_a_second_language_are_rows_of_their_own() -> None:
    rows = [one("a", 0.5, size=200)]
    rows += [
        one(f"m{size}", value, size=200, extra="en", extra_size=size, tau_extra=1.0)
        for size, value in ((100, 0.3), (200, 0.7))
    ]
    (table,) = laid(rows, "table1")
    assert texts(table) == [["fi", "-", "0.500"], ["", "en, 100", "-40.0%"], ["", "en, 200", "+40.0%"]]
    (table,) = laid(rows[:2], "table1")
    assert texts(table) == [["fi", "-", "0.500"], ["", "en", "-40.0%"]]
    assert table.caption.endswith("The target has 200 graded pairs, the second language 100.")


def test_models_of_all_languages_and_of_one_are_told_apart() -> None:
    rows = [
        one(f"{target}{tau}", value, target=target, tau_target=tau, doc_lang="en")
        for target, tau, value in (("all", 1.0, 0.2), ("fi", 1.0, 0.8), ("all", 3.0, 0.1), ("fi", 3.0, 0.4))
    ]
    first, second = drawn(rows, "across")
    assert [one["value"] for one in first.rows] == [0.2, 0.1]
    assert [one["value"] for one in second.rows] == [0.8, 0.4]
    assert first.title.endswith("one model of all languages")
    assert "trained on all languages" in first.caption
    assert second.title.endswith("a model a language")
    assert [texts(table) for table in laid(rows, "table2")] == [[["fi", "-50.0%"]]] * 2
    arms_of = [
        one(f"{target}{name}", value, target=target, objective=name, steps=steps)
        for target, name, value, steps in (
            ("all", "infonce", 0.2, 100), ("fi", "infonce", 0.8, 10), ("all", "bixse", 0.3, 100),
            ("fi", "bixse", 0.4, 10),
        )
    ]  # fmt: skip
    assert [texts(table) for table in laid(arms_of, "objectives")] == [
        [["bixse", "1", "0.300", "100"], ["infonce", "1", "0.200", "100"]],
        [["bixse", "1", "0.400", "10"], ["infonce", "1", "0.800", "10"]],
    ]


def test_mined_negatives_keep_sizes_and_taus_apart_in_figure_and_table_alike() -> None:
    rows = [
        one(f"{share}{tau}{size}", value, share_mined=share, tau_target=tau, size=size, metric="MRR@10")
        for share, tau, size, value in (
            (0.0, 1.0, 200, 0.2), (0.0, 3.0, 200, 0.8), (1.0, 1.0, 200, 0.3), (1.0, 3.0, 200, 0.9),
            (0.0, 1.0, 400, 0.1), (1.0, 1.0, 400, 0.1),
        )
    ]  # fmt: skip
    (figure,), (table,) = drawn(rows, "mined"), laid(rows, "mined")
    assert [(one["trained"], one["share"], one["value"]) for one in figure.rows] == [
        ("infonce, τ = 1", 0.0, 0.2), ("infonce, τ = 1", 1.0, 0.3), ("infonce, τ = 3", 0.0, 0.8),
        ("infonce, τ = 3", 1.0, 0.9),
    ]  # fmt: skip
    assert [line[:4] for line in texts(table)] == [
        ["0%", "infonce", "1", "0.200"], ["100%", "infonce", "1", "0.300"], ["0%", "infonce", "3", "0.800"],
        ["100%", "infonce", "3", "0.900"],
    ]  # fmt: skip
    assert "on 200 graded pairs" in figure.caption
    assert "on 200 graded pairs" in table.caption
    (single,) = drawn([one for one in rows if one["tau_target"] == 1], "mined")
    assert {one["value"] for one in single.rows} == {0.1}
    assert "infonce, τ = 1, on 400 graded pairs" in single.caption
