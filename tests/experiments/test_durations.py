"""Hours are told from recorded runs, and called a guess far above their sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graded.experiments import durations
from graded.experiments.grid import Point
from graded.experiments.plan import Plan
from graded.experiments.sweep import announce
from graded.formats import atomic


def values(size: int, name: str = "small") -> dict[str, Any]:
    return {"languages": ["fi", "ar"], "pair": {"target": "fi", "size": size}, "encoder": {"name": name}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_seconds_follow_sizes_and_far_sizes_are_a_guess() -> None:
    assert durations.estimate([values(100)], 1) is None
    for size in (100, 200, 300):
        durations.record(f"x-{size}", 10 + size / 10, values(size))
    seconds, runs = durations.estimate([values(400), values(200)], 2) or (0.0, 0)
    assert seconds == pytest.approx(40.0)
    assert runs == 3
    assert durations.estimate([values(100, "large")], 1) is None
    assert durations.beyond([values(400), values(1_000)]) is None
    assert durations.beyond([values(400), values(1_500)]) == 300
    assert durations.beyond([values(1_500, "large")]) is None


@pytest.mark.usefixtures("here")
def test_experiments_of_equal_steps_are_no_longer_for_more_pairs() -> None:
    long = {"train": {"budget": "epochs", "epochs": 3, "steps": 10, "batch_size": 32}}
    for size in (100, 300):
        durations.record(f"x-{size}", 10 + 3 * size / 10, values(size) | long)
    stepped = {"train": {**long["train"], "budget": "steps"}}  # 320 pairs, whatever the size
    seconds, runs = durations.estimate([values(1_000) | stepped, values(100_000) | stepped], 1) or (0.0, 0)
    assert seconds == pytest.approx(2 * (10 + 32))
    assert runs == 2


def test_a_first_sweep_goes_by_the_last_training_here(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atomic.write_json(here / "data/model/encoder.json", {"name": "small"})
    atomic.write_text(here / durations.SPEED, "step\tpairs_per_second\n1\t5\n2\t20\n3")  # 8 a second over both
    pq.write_table(pa.table({"positive": [True, False, False, False] * 100}), here / durations.PAIR)
    epochs, steps = (
        {"train": {"budget": one, "epochs": 2, "steps": 100, "batch_size": 8}} for one in ("epochs", "steps")
    )
    todo = [values(4_000) | epochs, values(9) | steps, {**values(9), "pair": {}} | epochs]
    assert durations.training(todo, 2) == pytest.approx(((2_000 + 800 + 200) / 8 / 2, 8.0))
    assert durations.training([values(4_000, "large") | epochs], 1) is None
    point = Point("x-1", {})
    announce(Plan({"x-1": todo[0]}, {}, {}, {"x-1": point}, []), 1, 1)
    said = capsys.readouterr().out
    assert "hours: unknown" in said
    assert "training alone: about 0.1 hours (4:10), at the 8 pairs a second of the last training here" in said
    (here / durations.SPEED).unlink()
    announce(Plan({"x-1": todo[0]}, {}, {}, {"x-1": point}, []), 1, 1)
    assert "alone" not in capsys.readouterr().out
