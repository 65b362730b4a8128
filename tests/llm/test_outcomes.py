"""What a reply without an answer becomes: an outcome of its own, counted, never a zero, asked again where wanted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from graded.formats import table
from graded.stages import grade, query
from tests.llm import buying
from tests.llm import workspace as work
from tests.standin import Faults, StandIn


def test_outcomes_are_told_apart_and_never_a_zero(folder: Path) -> None:
    terminal = {"filtered": 0.05, "filtered_reply": 0.05, "refused": 0.1, "truncated": 0.1, "nonsense": 0.1}
    with StandIn(faults=Faults(terminal)) as server:
        buying.make(folder, server, pairs=200)
        grade.main()
        kinds = server.counts.kinds
    rows = list(table.read_rows(Path("data/grade/a/fi.parquet"), "outcome", "grade"))
    found = Counter(outcome for outcome, _ in rows)
    assert found == {
        "ok": kinds["ok"], "filtered": kinds["filtered"] + kinds["filtered_reply"], "refused": kinds["refused"],
        "truncated": kinds["truncated"], "unparseable": kinds["nonsense"],
    }  # fmt: skip
    assert all((mark is None) == (outcome != "ok") for outcome, mark in rows)


def test_the_writers_outcomes_are_counted_per_language(folder: Path) -> None:
    kinds = {"filtered": 0.05, "filtered_reply": 0.05, "refused": 0.1, "truncated": 0.1}
    with StandIn(faults=Faults(kinds)) as server:
        judges = work.RECORDED["grade"]
        work.make(folder, passages=40, query={"model": buying.MODEL, "base_url": server.base_url}, grade=judges)
        query.main()
        found = server.counts.kinds
    counts = json.loads(Path("metrics/query.json").read_text(encoding="utf-8"))
    for lang in ("fi", "ar"):
        outcomes = Counter(outcome for (outcome,) in table.read_rows(Path(f"data/query/{lang}.parquet"), "outcome"))
        without = {name: outcomes[name] for name in ("refused", "filtered", "truncated", "unparseable")}
        assert counts[lang] == {"queries": 80, "written": outcomes["ok"], **without}
    both = {name: counts["fi"][name] + counts["ar"][name] for name in counts["fi"]}
    assert both == {
        "queries": 160, "written": found["ok"], "refused": found["refused"], "truncated": found["truncated"],
        "filtered": found["filtered"] + found["filtered_reply"], "unparseable": 0,
    }  # fmt: skip


def test_asking_again_asks_only_what_was_no_answer(folder: Path) -> None:
    with StandIn(faults=Faults({"truncated": 0.2, "nonsense": 0.1, "refused": 0.1})) as server:
        buying.make(folder, server, pairs=100)
        grade.main()
        first = server.counts.billed.total()
        again = server.counts.kinds["truncated"] + server.counts.kinds["nonsense"]
        buying.asks(folder, server, reask={"times": 1, "max_tokens": 30})
        server.faults = Faults()
        grade.main()
        assert server.counts.billed.total() == first + again
        found = Counter(outcome for (outcome,) in table.read_rows(Path("data/grade/a/fi.parquet"), "outcome"))
        assert set(found) == {"ok", "refused"}
        assert found["refused"] == server.counts.kinds["refused"]
