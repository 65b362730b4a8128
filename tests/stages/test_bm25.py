"""Stage bm25: one run a language, listed passages alone where the benchmark says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.formats import atomic, table, trec
from graded.stages import bm25
from tests.workspace import write_params


@pytest.fixture
def workspace(here: Path) -> Path:
    rows = [("d1", "", "red house"), ("d2", "", "red car"), ("d3", "House", "of red red stone")]
    table.write_rows(Path("data/corpus/en.parquet"), table.PASSAGES, rows)
    directions = [{"query_lang": ql, "doc_lang": "en", "corpus": "data/corpus/en.parquet"} for ql in ("en", "fi")]
    for name, protocol in (("whole", "collection"), ("list", "listed")):
        record = {"name": name, "protocol": protocol, "directions": directions}
        atomic.write_json(Path(f"data/benchmark/{name}/benchmark.json"), record)
        home = Path(f"data/benchmark/{name}/en-en")
        table.write_rows(home / "queries.parquet", table.QUERIES, [("q1", "houses"), ("q2", "green")])
        table.write_rows(home / "qrels.parquet", table.QRELS, [("q1", "d1", 1), ("q1", "d2", 0)])
    return here


def run(name: str) -> list[tuple[str, str, int]]:
    return [(hit.query_id, hit.doc_id, hit.rank) for hit in trec.read_run(Path(f"data/bm25/{name}/en-en.trec"))]


def test_runs(workspace: Path) -> None:
    write_params(workspace, bm25={})
    bm25.main()
    assert run("whole") == [("q1", "d1", 1), ("q1", "d3", 2)]
    assert run("list") == [("q1", "d1", 1)]
    assert not Path("data/bm25/whole/fi-en.trec").exists()


def test_off_and_too_large(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(workspace, bm25={"most": 2})
    bm25.main()
    assert "3 passages, more than bm25.most (2)" in capsys.readouterr().out
    assert list(Path("data/bm25").iterdir()) == []
    write_params(workspace, bm25={"enabled": False})
    bm25.main()
    assert list(Path("data/bm25").iterdir()) == []
