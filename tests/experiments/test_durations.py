"""Hours are told from recorded runs, and called a guess far above their sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graded.experiments import durations


def values(size: int, name: str = "small") -> dict[str, Any]:
    return {"languages": ["fi", "ar"], "pair": {"target": "fi", "size": size}, "encoder": {"name": name}}


def test_seconds_follow_sizes_and_far_sizes_are_a_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
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
