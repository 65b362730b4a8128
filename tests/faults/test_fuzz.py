"""Made-up input for every reader of foreign bytes: what comes out is records or one of the documented errors.

The default run tries a few hundred cases; `make test-all` 100,000 and more (the counts are in docs/reliability.md).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graded.errors import DataError, MissingError
from graded.formats import trec
from graded.llm.ledger import Ledger
from graded.llm.lines import encode, reply_key, whole
from graded.llm.replies import read_grade, read_query
from graded.llm.reply import Reply, TokenTop, from_completion, from_json, to_json
from graded.llm.store import Store, settle
from graded.records import Direction, Outcome
from graded.sources import beir, clirmatrix, foreign, topics

#: Cases a reader: in the default run, and in `make test-all`.
FEW, MANY = 25, 8_000

#: Text as files hold it, with what breaks readers said more often than chance would.
ODD = [
    "\0", "\ufeff", "\u2028", "\x85", "\x1c", "\r", "\n", "\t", " ", '"', "'", "[", "]", "[3]", "[1]", "<think>",
    "</think>", "٣", "３", "²", "1e999", "-1", "9" * 5000, "NaN", "null", "Q0", "<top>", "<num>", "<title>", "{", "}",
    "\\ud800", "0",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(ODD) | st.text(max_size=8), max_size=8).map("".join)
LONE = TEXT | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE00F), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def row(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects that have these fields, lack some, or hold anything there."""
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in fields.items()}) | JSON


def lines(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return files: lines of JSON or of text, cut, flipped or joined to raw bytes now and then."""
    line = st.one_of(*(kind.map(_bytes) for kind in kinds), st.binary(max_size=30))
    file = st.lists(line, max_size=5).map(b"\n".join)
    return st.one_of(file, st.builds(_flip, file, st.integers(0, 1 << 12), st.integers(1, 255)))


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


def _flip(data: bytes, at: int, bits: int) -> bytes:
    at %= max(len(data), 1)
    return data[:at] + bytes(one ^ bits for one in data[at : at + 1]) + data[at + 1 :]


def columns(*kinds: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return lines of columns, some of them of another width."""
    return st.tuples(*kinds).map("\t".join) | st.lists(TEXT, max_size=6).map("\t".join)


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

POSITION = st.builds(TokenTop, LONE, st.lists(st.tuples(LONE, st.floats(allow_nan=True)), max_size=4).map(tuple))
REPLY = st.builds(
    Reply, LONE | st.none(), finish_reason=st.sampled_from(["stop", "length", "content_filter"]) | LONE | st.none(),
    refusal=LONE | st.none(), logprobs=st.none() | st.lists(POSITION, max_size=5).map(tuple), filtered=st.booleans(),
)  # fmt: skip
MESSAGE = row(content=LONE, refusal=LONE)
TOP = row(token=LONE, logprob=st.floats(), top_logprobs=st.lists(row(token=LONE, logprob=st.floats()), max_size=3))
CHOICE = row(message=MESSAGE, finish_reason=LONE, logprobs=row(content=st.lists(TOP, max_size=3)))
USAGE = row(prompt_tokens=st.integers(), completion_tokens=TEXT)
BODY = row(choices=st.lists(CHOICE, max_size=2), usage=USAGE, model=TEXT)


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """How many cases."""
    return MANY if request.config.getoption("--slow") else FEW


def fuzz(count: int, made: st.SearchStrategy[Any], body: Callable[[Any], None]) -> None:
    """Call ``body`` with ``count`` values, the smallest that fails is shown."""

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(made)
    def one(value: Any) -> None:
        body(value)

    one()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CASES)
def test_a_reader_yields_records_or_says_what_is_wrong(tmp_path: Path, count: int, name: str) -> None:
    case, made = CASES[name]
    fuzz(count, made, lambda data: case(tmp_path, data))


@pytest.mark.timeout(1800)
def test_any_reply_has_an_outcome(count: int) -> None:
    """The parsers of queries and grades take whatever a model may say."""

    def body(reply: Reply) -> None:
        outcome, query = read_query(reply)
        assert (query is not None) == (outcome is Outcome.OK)
        reading = read_grade(reply)
        assert (reading.grade in (0, 1, 2, 3)) == (reading.outcome is Outcome.OK)
        assert reading.expected is None or 0 <= reading.expected <= 3
        assert reading.outside is None or 0 <= reading.outside <= 1
        kept = from_json(json.loads(json.dumps(to_json(reply))))
        assert read_grade(kept).outcome is reading.outcome

    fuzz(count, REPLY, body)


@pytest.mark.timeout(1800)
def test_any_body_is_a_completion_or_a_value_error(count: int) -> None:
    """What an endpoint may send in place of a completion is a lost request, never a crash."""

    def body(answered: Any) -> None:
        try:
            reply = from_completion(answered)
        except ValueError:
            return
        read_query(reply)
        read_grade(reply)
        to_json(reply)

    fuzz(count, BODY, body)


KIND = st.sampled_from(["reply", "hold", "lost", "free"])
MORE = st.fixed_dictionaries(
    {"at": st.integers(0, 1 << 40), "usd": st.floats(0, 1e6)},
    optional={"stage": LONE, "lang": LONE, "reply": st.fixed_dictionaries({"text": LONE}), "why": LONE, "more": JSON},
)
FIELDS = st.builds(
    lambda key, kind, more: {"key": key.hex(), "kind": kind, **more}, st.binary(min_size=32, max_size=32), KIND, MORE
)


@pytest.mark.timeout(1800)
def test_a_ledger_file_gives_its_whole_lines_whatever_else_is_in_it(tmp_path: Path, count: int) -> None:
    """Noise between the lines, a flipped byte, a torn end: the whole lines and their dollars are what is found."""
    store = Store(tmp_path)
    store.live.mkdir(parents=True)
    path = store.live / "w.jsonl"

    def body(made: tuple[list[tuple[dict[str, Any], bytes]], int, int, int]) -> None:
        records, at, bits, cut = made
        good = [encode(fields) for fields, _ in records]
        data = b"".join(
            line + noise.replace(b"\n", b"") + b"\n" for line, (_, noise) in zip(good, records, strict=True)
        )
        path.write_bytes(data)
        store.named.clear()
        assert [line for line in store.read_live(path)[0] if line in good] == good
        path.write_bytes(_flip(data, at, bits)[: len(data) - cut % (len(data) + 1)])
        found, _ = store.read_live(path)
        assert all(whole(line) for line in found)
        assert set(found) <= set(good)
        lines_, money = settle(found)
        assert money.paid + money.lost >= 0
        assert all(whole(line) for line in lines_)
        known = {key for line in found if (key := reply_key(line)) is not None}
        assert len(Ledger(tmp_path).state.known) == len(known)

    records = st.lists(st.tuples(FIELDS, st.binary(max_size=20)), max_size=6)
    with redirect_stderr(StringIO()):
        fuzz(count, st.tuples(records, st.integers(0, 1 << 12), st.integers(1, 255), st.integers(0, 40)), body)


@pytest.mark.timeout(1800)
def test_no_bytes_pass_for_a_line(count: int) -> None:
    """Noise is never taken for a record (a checksum of 32 bits: once in four thousand million), nor makes it crash."""

    def body(data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            assert not whole(line) or encode(json.loads(line)) is not None
            reply_key(line) if whole(line) else None

    fuzz(count, lines(JSON, FIELDS.map(encode)), body)
