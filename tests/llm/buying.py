"""A workspace whose stage grade asks the stand-in server, in this process or in others that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graded.formats import table
from graded.stages.query import SCHEMA
from tests.conftest import ROOT
from tests.llm import workspace as work
from tests.standin import StandIn
from tests.workspace import write_params

MODEL = "gpt-4o-2024-11-20"


def judge(server: StandIn, **more: Any) -> dict[str, Any]:
    """Return the params of an annotator at the stand-in server."""
    return {"model": MODEL, "base_url": server.base_url, "max_tokens": 8, "timeout": 60.0, **more}


def make(folder: Path, server: StandIn, *, pairs: int, reask: Any = None, **more: Any) -> None:
    """Write a workspace of ``pairs`` pairs in one language, five to a query, without buying anything."""
    work.make(folder, passages=0)
    asks(folder, server, reask=reask, **more)
    docs = [(f"d{number}", "", f"passage {number} of the set") for number in range(50)]
    queries = [
        (f"q{number:06}", f"d{number % 50}", "question", f"query {number}", "ok") for number in range(pairs // 5)
    ]

    table.write_rows(folder / "data/sample/fi.parquet", table.PASSAGES, docs)
    table.write_rows(folder / "data/query/fi.parquet", SCHEMA, queries)
    rows = [
        (query[0], f"d{(place * 5 + rank) % 50}", rank, 1.0) for place, query in enumerate(queries) for rank in range(5)
    ]
    table.write_rows(folder / "data/candidate/fi.parquet", work.CANDIDATES, rows)


def asks(folder: Path, server: StandIn, *, reask: Any = None, **more: Any) -> None:
    """Write params.yaml: one annotator, at ``server``."""
    grade: dict[str, Any] = {"annotators": {"a": judge(server, **more)}, "reask": reask or {}}
    write_params(folder, languages=["fi"], annotators=["a"], query=work.RECORDED["query"], grade=grade)


def environment(folder: Path, budget: float) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GRADED_"))}
    return {**kept, "GRADED_BUDGET_USD": str(budget), "OPENAI_API_KEY": "k", "PYTHONPATH": str(ROOT)}


def start(
    folder: Path, budget: float = 1000.0, stage: str = "grade", root: Path | None = None
) -> subprocess.Popen[str]:
    """Start a stage in a process of its own; ``root`` is the clone that ``folder`` is a temporary copy of, if it is."""
    variables = environment(folder, budget) | ({"DVC_ROOT": str(root)} if root else {})
    return subprocess.Popen(
        [sys.executable, "-m", f"graded.stages.{stage}"], cwd=folder, env=variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once ``true()`` is; a test that waits longer has failed."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def result(folder: Path, lang: str = "fi") -> bytes:
    """Return the bytes of the grades that were written."""
    return (folder / f"data/grade/a/{lang}.parquet").read_bytes()


def dollars(server: StandIn) -> float:
    """Return what the server would bill: its own token counts at the price in prices.yaml."""
    return (server.counts.tokens["prompt"] * 2.5 + server.counts.tokens["completion"] * 10) / 1e6
