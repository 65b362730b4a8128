"""The stages candidate, retrieve and train under `accelerate launch` on several processes, and one of them killed.

Each search notes the units that it makes; see :data:`NOTING`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

#: A program that runs a stage and notes, a line a unit, which process searched what.
NOTING = """
import importlib, os, sys
from graded.console import run
from graded.retrieval.search_corpus import Searcher
stage, notes = sys.argv.pop(1), sys.argv.pop(1)
real = Searcher._search_unit

def noted(self, unit, *more):
    hits = real(self, unit, *more)
    with open(notes, "a") as file:
        file.write(f"{os.environ.get('RANK', '0')} {unit.path} {unit.start}\\n")
    return hits

Searcher._search_unit = noted
run(importlib.import_module(f"graded.stages.{stage}").main)
"""


def flags(processes: int, port: int, *more: str) -> list[str]:
    """Return the launcher's command for so many processes, as on so many GPUs; without GPUs they share the cores."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    plain = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    return [*launcher, "--main_process_port", str(port), *plain, *more]


def noting(folder: Path, stage: str, *arguments: str) -> list[str]:
    """Return the program and arguments, behind the launcher's, that run a stage and note its units in ``notes``."""
    program = folder / "noting.py"
    program.write_text(NOTING, encoding="utf-8")
    return [str(program), stage, str(folder / "notes"), *arguments]


def notes(folder: Path) -> list[tuple[str, str]]:
    """Return (process, unit) of each unit that was searched."""
    path = folder / "notes"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def start(command: Sequence[str], folder: Path, **more: str) -> subprocess.Popen[str]:
    """Start ``command`` in ``folder``, one thread a process, in a process group of its own."""
    env = {key: value for key, value in os.environ.items() if key != "DVC_ROOT"} | {"OMP_NUM_THREADS": "1"} | more
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a process that should end well, and return what it said."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def kill_a_rank(launcher: subprocess.Popen[str], rank: int, ready: Callable[[], bool]) -> None:
    """Kill -9 one of the launcher's processes once ``ready``; the launcher then ends the others and fails."""
    wait(lambda: ready() or launcher.poll() is not None)
    assert launcher.poll() is None, "it ended before it could be stopped"
    os.kill(ranks(launcher.pid)[rank], signal.SIGKILL)
    said, _ = launcher.communicate(timeout=120)
    assert launcher.returncode != 0, said


def kill(launcher: subprocess.Popen[str]) -> None:
    """Kill -9 a launcher and its processes, which have sessions of their own."""
    for process in [launcher.pid, *ranks(launcher.pid).values()]:
        os.kill(process, signal.SIGKILL)
    launcher.communicate()


def wait(ready: Callable[[], bool]) -> None:
    """Return once ``ready``."""
    limit = time.monotonic() + 300
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.002)


def ranks(launcher: int) -> dict[int, int]:
    """Return rank -> process id of the launcher's children."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == launcher:
                variables = (path.parent / "environ").read_bytes().split(b"\0")
                found |= {int(one[5:]): int(path.parent.name) for one in variables if one.startswith(b"RANK=")}
        except OSError:  # it ended meanwhile
            continue
    return found
