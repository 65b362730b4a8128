"""Stage sample: nested draws that keep clear of everything a benchmark judges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from graded.cli.bring import bring, split_of
from graded.errors import DataError
from graded.formats import table
from graded.stages import benchmark, corpus, sample
from tests.workspace import write_beir, write_jsonl, write_params

SETS = {"small": {"folder": {"fi": "fi"}}, "own": {"folder": {"fi": "own"}, "corpus": "own"}}


@pytest.fixture
def workspace(here: Path) -> Path:
    passages = [(f"d{n:02}", "", f"text {n}") for n in range(40)]
    write_beir(here / "texts/fi", passages, [("q", "?")], {"test": [("q", "d00", 2), ("q", "d01", 0)]})
    # The other set brings passages under ids of its own: d05's text is judged there, and its id d07 means another text.
    write_beir(here / "texts/own", [("d07", "", "text 5")], [("q", "?")], {"test": [("q", "d07", 1)]})
    return here


def drawn(workspace: Path, size: int, seed: int = 7) -> list[str]:
    write_params(
        workspace,
        languages=["fi"],
        seed=seed,
        corpus={"path": "texts"},
        benchmark={"path": "texts", "sets": SETS},
        sample={"size": size},
    )
    corpus.main()
    benchmark.main()
    sample.main()
    return [row[0] for row in table.read_rows(Path("data/sample/fi.parquet"), "doc_id")]


def test_a_larger_sample_begins_with_the_smaller(workspace: Path) -> None:
    small, large = drawn(workspace, 10), drawn(workspace, 20)
    assert len(small) == 10
    assert large[:10] == small
    assert sorted(large) != large
    assert drawn(workspace, 20, seed=8) != large


def test_judged_passages_are_out_by_id_or_by_text(workspace: Path) -> None:
    everything = drawn(workspace, 1000)
    assert sorted(everything) == [f"d{n:02}" for n in range(40) if n not in (0, 1, 5)]


def test_nothing_left_is_an_error(workspace: Path) -> None:
    write_beir(workspace / "texts/fi", [("d00", "", "a")], [("q", "?")], {"test": [("q", "d00", 2)]})
    with pytest.raises(DataError, match="every passage is judged"):
        drawn(workspace, 5)


def test_a_document_that_a_query_is_about_is_out_as_a_whole(workspace: Path) -> None:
    """d00 is relevant and d05 has a relevant text; d01 is judged and not relevant, so its document stays."""
    rows = [(f"d{n:02}", f"page {n % 10}") for n in range(40)]
    write_jsonl(workspace / "texts/fi/documents.jsonl", [{"_id": one, "document": page} for one, page in rows])
    everything = drawn(workspace, 1000)
    assert sorted(everything) == [f"d{n:02}" for n in range(40) if n % 10 not in (0, 5) and n != 1]


def test_own_documents_are_trained_on_or_measured_with(workspace: Path) -> None:
    """From a CSV with documents: none of the sample's is one that a query of test or dev is about."""
    rows = [(f"p{n}", f"text {n}", f"manual {n % 30}") for n in range(120)]
    write_rows(workspace / "p.csv", ["id", "text", "document"], rows)
    write_rows(workspace / "q.csv", ["id", "text"], [(f"q{n}", f"what {n}") for n in range(20)])
    write_rows(workspace / "r.csv", ["query", "passage", "score"], [(f"q{n}", f"p{n}", "1") for n in range(20)])
    bring(workspace / "p.csv", "fi", Path("data/beir"), workspace / "q.csv", workspace / "r.csv")
    sets = {"own": {"folder": "{lang}"}, "own-dev": {"folder": "{lang}", "split": "dev", "role": "dev"}}
    write_params(
        workspace,
        languages=["fi"],
        corpus={"path": "data/beir"},
        benchmark={"path": "data/beir", "sets": sets},
        sample={"size": 1000},
    )
    corpus.main()
    benchmark.main()
    sample.main()
    document = {one: name for one, _, name in rows}
    trained = {document[row[0]] for row in table.read_rows(Path("data/sample/fi.parquet"), "doc_id")}
    tested = {f"manual {n}" for n in range(20) if split_of(f"manual {n}") != "train"}
    assert tested
    assert trained == {*document.values()} - tested


def write_rows(path: Path, head: list[str], rows: Sequence[tuple[str, ...]]) -> None:
    path.write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n", encoding="utf-8")
