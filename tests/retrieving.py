"""A folder that the stage retrieve searches, with a small random encoder, and the stage run in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from graded.formats import atomic, table
from graded.stages import retrieve
from tests.encoders import random_encoder
from tests.workspace import write_params

WORDS = ["lumi", "järvi", "metsä", "kaupunki", "katu", "silta", "talvi", "kesä", "joki", "vuori"]
#: The stage as a process; the folder of the runs follows.
STAGE = [sys.executable, "-m", "graded.stages.retrieve", "--encoder", "data/encoder", "--run"]


def text(seed: int) -> str:
    """Return six words that ``seed`` draws."""
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, 6))


def write_workspace(folder: Path, passages: int = 60, unit: int = 25, *, listed: bool = False) -> None:
    """Two languages, one benchmark with all four directions and one with fi alone, sharing the corpora.

    ``listed``: every query ranks passages that are listed for it alone; every third passage is listed by none.
    """
    write_params(folder, retrieve={"k": 10, "unit": unit})
    random_encoder(folder / "data/encoder", "bert")
    for number, lang in enumerate(["fi", "ar"]):
        rows = [(f"{lang}{index}", "", text(1000 * number + index)) for index in range(passages)]
        table.write_rows(folder / f"data/corpus/{lang}.parquet", table.PASSAGES, rows)
    for name, langs in {"cross": ["fi", "ar"], "mono": ["fi"]}.items():
        directions = [(one, other) for one in langs for other in langs]
        for one, other in directions:
            queries = [(f"q{index}", text(7 * index + len(one + other + name))) for index in range(5)]
            home = folder / f"data/benchmark/{name}/{one}-{other}"
            table.write_rows(home / "queries.parquet", table.QUERIES, queries)
            if listed:
                judged = [
                    (query_id, f"{other}{index}", index % 2)
                    for number, (query_id, _) in enumerate(queries)
                    for index in range(passages)
                    if index % 3 and index % 5 != number
                ]
                table.write_rows(home / "qrels.parquet", table.QRELS, judged)
        entries = [
            {"query_lang": one, "doc_lang": other, "corpus": f"data/corpus/{other}.parquet"}
            for one, other in directions
        ]
        record = {"name": name, "protocol": "listed" if listed else "collection", "directions": entries}
        atomic.write_json(folder / f"data/benchmark/{name}/benchmark.json", record)


def run_stage(monkeypatch: pytest.MonkeyPatch, run: str = "data/run/base", target: str = "all") -> None:
    """Run the stage in this process."""
    monkeypatch.setattr(sys, "argv", ["retrieve", "--encoder", "data/encoder", "--run", run, "--target", target])
    retrieve.main()


def contents(folder: Path) -> dict[str, bytes]:
    """Return every run under ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.trec"))}


def alone(rank: int = 0, world: int = 1) -> dict[str, str]:
    """The environment of one process of several; one thread."""
    return {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"}
