"""Loss, learning rate and speed, step by step: a progress bar, and DVCLive files that `dvc plots` and VS Code show."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from graded.errors import MissingError

#: Points of a curve; a longer run logs every n-th step.
POINTS = 1000


class Point(NamedTuple):
    """One logged step (from 1)."""

    step: int
    loss: float
    learning_rate: float
    pairs_per_second: float


class Curves:
    """The curves of a run of ``total`` steps, in DVCLive's folders ``folder`` (loss, learning rate) and ``speed``.

    Speed stands apart since it is no result: the folder of an output must be the same on every run. ``history`` holds
    what was logged; given to another run it draws the same curves again, so that a run that goes on from a checkpoint
    has no gap and no step twice, although DVC removed the folder in between.
    """

    def __init__(self, folder: Path, speed: Path, total: int, history: list[Any]) -> None:
        from dvclive import Live
        from scmrepo.exceptions import SCMError

        self.every = -(-total // POINTS)
        self.history: list[Point] = []
        try:
            self.live, self.speed = (
                Live(str(each), save_dvc_exp=False, dvcyaml=None, report=None) for each in (folder, speed)
            )
        except SCMError as error:
            raise MissingError(
                f"train logs its curves by DVCLive, which needs a git repository with a commit ({error}); "
                "next: git add -A && git commit -m start, then dvc repro"
            ) from error
        self.pairs, self.since = 0, time.perf_counter()
        for values in history:
            self._write(Point(*values))

    def add(self, step: int, loss: float, learning_rate: float, pairs: int) -> None:
        """Log a step of ``pairs`` pairs, where it is one of those that are logged; the last speed is over all since."""
        self.pairs += pairs
        if step % self.every and step != 1:
            return
        now = time.perf_counter()
        self._write(Point(step, loss, learning_rate, self.pairs / max(now - self.since, 1e-9)))
        self.pairs, self.since = 0, now

    def end(self, **summary: float) -> None:
        """Write the summary (metrics.json) and close."""
        for name, value in summary.items():
            self.live.summary[name] = value
        for live in (self.live, self.speed):
            live.make_summary()
            live.end()

    def _write(self, point: Point) -> None:
        self.history.append(point)
        self.live.step = self.speed.step = point.step
        self.live.log_metric("loss", point.loss)
        self.live.log_metric("learning_rate", point.learning_rate)
        self.speed.log_metric("pairs_per_second", point.pairs_per_second)
        self.live.make_summary()
        self.speed.make_summary()
