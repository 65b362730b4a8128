"""Stage sample: nested draws that keep clear of everything a benchmark judges."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.errors import DataError
from graded.formats import table
from graded.stages import benchmark, corpus, sample
from tests.workspace import write_beir, write_params

SETS = {"small": {"folder": {"fi": "fi"}}, "own": {"folder": {"fi": "own"}, "corpus": "own"}}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    passages = [(f"d{n:02}", "", f"text {n}") for n in range(40)]
    write_beir(tmp_path / "texts/fi", passages, [("q", "?")], {"test": [("q", "d00", 2), ("q", "d01", 0)]})
    # The other set brings passages under ids of its own: d05's text is judged there, and its id d07 means another text.
    write_beir(tmp_path / "texts/own", [("d07", "", "text 5")], [("q", "?")], {"test": [("q", "d07", 1)]})
    return tmp_path


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
