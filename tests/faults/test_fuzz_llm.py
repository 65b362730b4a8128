"""Made-up replies and ledger files: a reply has an outcome, a body is a completion or none, whole lines are found."""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from graded.llm.ledger import Ledger
from graded.llm.lines import encode, reply_key, whole
from graded.llm.replies import read_grade, read_query
from graded.llm.reply import Reply, TokenTop, from_completion, from_json, to_json
from graded.llm.store import Store, settle
from graded.records import Outcome
from tests.faults.made import JSON, LONE, TEXT, flip, fuzz, lines, row

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
        path.write_bytes(flip(data, at, bits)[: len(data) - cut % (len(data) + 1)])
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
