"""Stage retrieve stopped, killed and started again: nothing that was finished is made twice, and the runs are equal."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from graded.retrieval.search_corpus import Searcher
from tests.retrieving import STAGE, alone, contents, run_stage, write_workspace


@pytest.mark.parametrize("listed", [False, True], ids=["collection", "listed"])
def test_a_stopped_run_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    """Units that were finished before the stop are not encoded again."""
    write_workspace(workspace, listed=listed)
    seen: list[int] = []
    real = Searcher._search_unit

    def stops(self: Searcher, unit: Any, *args: Any) -> Any:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(unit.start)
        return real(self, unit, *args)

    monkeypatch.setattr(Searcher, "_search_unit", stops)
    with pytest.raises(KeyboardInterrupt):
        run_stage(monkeypatch)
    assert not (workspace / "data/run").exists()
    again: list[int] = []

    def counted(self: Searcher, unit: Any, *args: Any) -> Any:
        again.append(unit.start)
        return real(self, unit, *args)

    monkeypatch.setattr(Searcher, "_search_unit", counted)
    run_stage(monkeypatch)
    assert len(again) == 6 - len(seen)


@pytest.mark.slow
def test_killed_and_started_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the middle: what was finished is not made again, and the result is that of a run without a stop."""
    write_workspace(workspace, passages=400, unit=10)
    process = subprocess.Popen([*STAGE, "run"], env=alone())
    folder = workspace / ".work/hits"
    while not folder.is_dir() or len(list(folder.glob("[0-9a-f]*.parquet"))) < 5:
        assert process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.002)
    process.kill()
    process.wait()
    finished = len(list(folder.glob("[0-9a-f]*.parquet")))
    assert finished < 80
    assert not (workspace / "run").exists()
    units: list[int] = []
    real = Searcher._search_unit

    def counted(self: Searcher, unit: Any, *args: Any) -> Any:
        units.append(unit.start)
        return real(self, unit, *args)

    monkeypatch.setattr(Searcher, "_search_unit", counted)
    run_stage(monkeypatch, "again/run")
    assert len(units) == 80 - finished
    monkeypatch.setenv("DVC_ROOT", str(workspace / "elsewhere"))
    run_stage(monkeypatch, "fresh/run")
    assert contents(workspace / "again") == contents(workspace / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("listed", [False, True], ids=["collection", "listed"])
def test_one_of_two_is_killed_and_the_other_finishes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    write_workspace(workspace, passages=400, unit=10, listed=listed)
    both = [subprocess.Popen([*STAGE, "both/run"], env=alone(rank, 2)) for rank in range(2)]
    folder = workspace / ".work/hits"
    while not folder.is_dir() or len(list(folder.glob("[0-9a-f]*.parquet"))) < 5:
        time.sleep(0.002)
    both[1].kill()
    assert both[0].wait(timeout=120) == 0
    both[1].wait()
    monkeypatch.setenv("DVC_ROOT", str(workspace / "elsewhere"))
    run_stage(monkeypatch, "alone/run")
    assert contents(workspace / "alone") == contents(workspace / "both")
