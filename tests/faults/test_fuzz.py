"""Made-up input for every reader of sources: what comes out is records or one of the documented errors.

The default run tries a few hundred cases; `make test-all` 100,000 and more (the counts are in docs/reliability.md).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from graded.errors import DataError, MissingError
from graded.formats import trec
from graded.records import Direction
from graded.sources import beir, clirmatrix, foreign, topics
from tests.faults.made import TEXT, columns, fuzz, lines, row

ID, SCORE = st.sampled_from(["q1", "d1", "", "a b"]) | TEXT, st.sampled_from(["0", "3", "-1", "+2", "1_0", " 3"]) | TEXT
OBJECT = row(_id=ID, title=TEXT, text=TEXT)
LISTING = row(
    src_id=ID | st.integers(), src_query=TEXT, tgt_results=st.lists(st.tuples(ID | st.integers(), st.integers(-1, 8)))
)


def check(read: Callable[[], Iterable[Any]]) -> list[Any]:
    """Return what a reader yields up to its end or to a documented error of one line that names the file."""
    found = []
    try:
        for one in read():
            found.append(one)
    except (DataError, MissingError) as error:
        said = str(error)
    else:
        said = "one line"
    assert len(said.splitlines()) == 1, repr(said)
    return found


def texts(*values: str) -> None:
    """Everything that goes on from a reader can be written as UTF-8."""
    for value in values:
        value.encode("utf-8")


Case = Callable[[Path, bytes], None]


def _beir_passages(folder: Path, data: bytes) -> None:
    (folder / "corpus.jsonl").write_bytes(data)
    for passage in check(lambda: beir.passages(folder)):
        texts(*passage)
        assert passage.doc_id


def _beir_queries(folder: Path, data: bytes) -> None:
    (folder / "queries.jsonl.gz").write_bytes(gzip.compress(data, 1) if data[:1] != b"\0" else data)
    for query in check(lambda: beir.queries(folder)):
        texts(*query)


def _beir_qrels(folder: Path, data: bytes) -> None:
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "test.tsv").write_bytes(data)
    for qrel in check(lambda: beir.qrels(folder, "test")):
        assert isinstance(qrel.relevance, int)


def _clirmatrix_listings(folder: Path, data: bytes) -> None:
    path = folder / "queries" / "fi_en" / "dev.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 1))
    for listing in check(lambda: clirmatrix.listings(folder, Direction("fi", "en"), "dev")):
        texts(*listing.query)
        assert all(0 <= qrel.relevance <= 6 for qrel in listing.qrels)


def _clirmatrix_passages(folder: Path, data: bytes) -> None:
    path = folder / "docs" / "fi.tsv.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(data, 1)[: len(data) + 10] if data[:1] == b"\0" else gzip.compress(data, 1))
    for passage in check(lambda: clirmatrix.passages(folder, "fi")):
        texts(*passage)


def _trec_run(folder: Path, data: bytes) -> None:
    (folder / "x.trec").write_bytes(data)
    for hit in check(lambda: trec.read_run(folder / "x.trec")):
        assert isinstance(hit.rank, int)
        assert hit.score == hit.score, "a score that is no number cannot be ranked"


def _trec_qrels(folder: Path, data: bytes) -> None:
    (folder / "qrels.dev.txt").write_bytes(data)
    for qrel in check(lambda: topics.qrels(folder, "dev")):
        assert isinstance(qrel.relevance, int)


def _trec_topics(folder: Path, data: bytes) -> None:
    (folder / "topics.dev.txt").write_bytes(data)
    for query in check(lambda: topics.queries(folder, "dev")):
        assert query.text


def _csv(folder: Path, data: bytes) -> None:
    (folder / "x.csv").write_bytes(data)
    for one in check(lambda: foreign.rows(folder / "x.csv")):
        texts(*map(str, one))


def _squad(folder: Path, data: bytes) -> None:
    (folder / "x.json").write_bytes(data)
    for one in check(lambda: foreign.squad(folder / "x.json")):
        if not isinstance(one, foreign.Bad):
            texts(*one[0])


PARAGRAPH = row(context=TEXT, qas=st.lists(row(id=ID, question=TEXT), max_size=3))
SQUAD = row(data=st.lists(row(title=TEXT, paragraphs=st.lists(PARAGRAPH, max_size=2)), max_size=2))
CASES: dict[str, tuple[Case, st.SearchStrategy[bytes]]] = {
    "beir passages": (_beir_passages, lines(OBJECT)),
    "beir queries": (_beir_queries, lines(OBJECT)),
    "beir qrels": (_beir_qrels, lines(columns(ID, ID, SCORE))),
    "clirmatrix listings": (_clirmatrix_listings, lines(LISTING)),
    "clirmatrix passages": (_clirmatrix_passages, lines(columns(ID, TEXT))),
    "trec run": (_trec_run, lines(st.tuples(ID, st.just("Q0"), ID, SCORE, SCORE, ID).map(" ".join), TEXT)),
    "trec qrels": (_trec_qrels, lines(st.tuples(ID, st.just("0"), ID, SCORE).map(" ".join), TEXT)),
    "trec topics": (_trec_topics, lines(TEXT)),
    "csv": (_csv, lines(st.lists(TEXT | st.sampled_from(["id", "text", "title"]), max_size=4).map(",".join))),
    "squad": (_squad, lines(SQUAD)),
}  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CASES)
def test_a_reader_yields_records_or_says_what_is_wrong(tmp_path: Path, count: int, name: str) -> None:
    case, made = CASES[name]
    fuzz(count, made, lambda data: case(tmp_path, data))
