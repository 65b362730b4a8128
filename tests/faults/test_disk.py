"""A full disk in every stage: one line, nothing half-written; with room again the same command ends as it should."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.full import digests, on_a_full_disk
from tests.faults.world import TO_PAIR, World, passages
from tests.llm.buying import MODEL
from tests.standin import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults"), pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
ORDER = (*TO_PAIR, "train", "retrieve@base", "retrieve@tuned", "bm25", "evaluate", "report")


def command(word: str) -> list[str]:
    """Return the command of a stage, as in dvc.yaml."""
    name, _, item = word.partition("@")
    more = ["--encoder", "data/encoder" if item == "base" else "data/model", "--run", f"data/run/{item}"]
    return [sys.executable, "-m", f"graded.stages.{name}", *(more if item else [])]


def test_every_stage(tmp_path: Path, api: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """No room at all, and 4 kB of it, so that a first file still goes in; checkpoints after every step of train."""
    train = {"budget": "steps", "steps": 3, "batch_size": 8, "threads": 1, "checkpoint_minutes": 0}
    world = World(tmp_path, api, train=train)
    world.encoder()
    stopped = {}
    for word in ORDER:
        found = {free: full(tmp_path, free, word) for free in (0, 4)}
        world.run(word)
        for free, one in found.items():
            stopped[word, free] = one["first"]["code"] != 0
            assert one["second"]["code"] == 0, (word, one["second"]["err"])
            assert [name for name in one["between"] if name.endswith(".tmp")] == [], word
            assert one["files"] == digests(tmp_path), word
            if stopped[word, free]:
                said = [line for line in one["first"]["err"].splitlines() if line.startswith("graded: ")]
                assert "Traceback" not in one["first"]["err"], one["first"]["err"]
                assert len(said) == 1, one["first"]["err"]
                assert said[0].startswith("graded: disk full while writing ")
                assert ".tmp" not in said[0]
    assert all(stopped[word, 0] for word in ORDER)
    with capsys.disabled():
        print(f"\nfull disk: {sum(stopped.values())} of {len(stopped)} runs stopped with one line; all went on")


def full(folder: Path, free: int, word: str) -> dict[str, Any]:
    """Run a stage on a full copy of the folder, with a key."""
    path = f"{ROOT / 'src'}:{ROOT}"
    return on_a_full_disk(folder, free, command(word), OPENAI_API_KEY="k", GRADED_BUDGET_USD="100", PYTHONPATH=path)


def test_the_ledger_loses_no_durable_reply(tmp_path: Path, api: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """Room for some of the replies: those are kept, and nothing is asked again but what was not durable yet."""
    world = World(tmp_path, api, {"fi": passages("fi")})
    judge = {"model": MODEL, "base_url": api.base_url, "max_tokens": 8, "in_flight": 16}
    world.params({"grade": {"annotators": {"one": judge, "two": {**judge, "seed": 2}}}})
    world.run(*TO_PAIR[:5])
    before = api.counts.billed.total()
    found = full(tmp_path, 24, "grade")
    assert found["first"]["code"] == 1
    assert "disk full while writing .ledger/live/" in found["first"]["err"]
    assert found["second"]["code"] == 0, found["second"]["err"]
    there = api.counts.billed.total()
    world.run("grade")
    kept, asked = found["replies"], api.counts.billed.total() - there
    again = there - before - asked
    assert 0 < kept < asked
    assert 0 <= again <= 2 * 16 + 100, "in flight at the two, and one group of replies that waits to be written"
    with capsys.disabled():
        print(f"\nfull disk in the ledger: {kept} of {asked} replies durable when it was full, {again} asked again")
