"""Plain TREC files as a source."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError
from graded.formats import table
from graded.sources import topics
from graded.stages import benchmark, corpus
from tests.workspace import write_params

TOPICS = """<top>
<num> Number: 301
<title> International Organized Crime
<desc> Description:
Identify organizations.
</top>
<top><num>302</num><title>Poliomyelitis and
Post-Polio</title></top>
"""


def test_both_stages_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fi").mkdir()
    Path("fi/corpus.tsv.gz").write_bytes(gzip.compress(b"d1\tTitle\tone\nd2\ttwo\n\n"))
    Path("fi/topics.test.tsv").write_text("q1\twhat?\n")
    Path("fi/qrels.test.txt").write_text("q1 0 d1 2\nq1 0 d2 0\n")
    one = {"source": "trec", "path": "."}
    write_params(Path(), languages=["fi"], corpus=one, benchmark={"path": ".", "sets": {"t": {"source": "trec"}}})
    corpus.main()
    benchmark.main()
    assert list(table.read_rows(Path("data/corpus/fi.parquet"))) == [("d1", "Title", "one"), ("d2", "", "two")]
    assert list(table.read_rows(Path("data/benchmark/t/fi-fi/qrels.parquet"))) == [("q1", "d1", 2), ("q1", "d2", 0)]


def test_topics_with_tags(tmp_path: Path) -> None:
    (tmp_path / "topics.test.txt").write_text(TOPICS)
    assert list(topics.queries(tmp_path, "test")) == [
        ("301", "International Organized Crime"),
        ("302", "Poliomyelitis and Post-Polio"),
    ]


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no topics\.test\.tsv or topics\.test\.txt in .*no such file"):
        list(topics.queries(tmp_path, "test"))
    (tmp_path / "topics.test.txt").write_text("<top><num>1</num></top>")
    with pytest.raises(DataError, match="<top> 1 has no <num> or no <title>"):
        list(topics.queries(tmp_path, "test"))
    (tmp_path / "corpus.tsv").write_text("d1\tone\nd2\n")
    with pytest.raises(DataError, match=r"corpus\.tsv:2: 1 column"):
        list(topics.passages(tmp_path))
    (tmp_path / "qrels.test.txt").write_text("q 0 d x\n")
    with pytest.raises(DataError, match=r"qrels\.test\.txt:1: relevance 'x' is no whole number"):
        list(topics.qrels(tmp_path, "test"))
