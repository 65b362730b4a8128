"""Units of work: shared between processes, finished once, taken over from the dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graded.errors import MissingError
from graded.formats.atomic import write_text
from graded.retrieval import claims
from graded.retrieval.claims import finish
from graded.retrieval.distributed import Place

WORKER = """
import os, sys, time
from pathlib import Path
from graded.formats.atomic import write_text
from graded.retrieval.distributed import place
from graded.retrieval.claims import finish

paths = [Path(f"unit{number}") for number in range(8)]

def make(index):
    with open("log", "a") as log:
        log.write(f"{index} {os.environ['RANK']}\\n")
    if os.environ.get("HANG") == str(index):
        time.sleep(600)
    time.sleep(0.05)
    write_text(paths[index], str(index))

print(finish(paths, make, place()))
"""


def start(folder: Path, rank: int, world: int, **extra: str) -> subprocess.Popen[str]:
    env = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), **extra}
    env.pop("DVC_ROOT", None)
    return subprocess.Popen([sys.executable, "-c", WORKER], cwd=folder, env=env, stdout=subprocess.PIPE, text=True)


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def test_two_processes_make_each_unit_once(tmp_path: Path) -> None:
    workers = [start(tmp_path, rank, 2) for rank in range(2)]
    made = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(made) == 8
    assert sorted(line.split()[0] for line in log(tmp_path)) == [str(number) for number in range(8)]
    assert [(tmp_path / f"unit{number}").read_text() for number in range(8)] == [str(number) for number in range(8)]


def test_a_killed_process_loses_only_its_unit_and_the_other_takes_it_over(tmp_path: Path) -> None:
    hung = start(tmp_path, 1, 2, HANG="6")
    while not (tmp_path / "log").exists() or "6 1" not in log(tmp_path):
        time.sleep(0.02)
    other = start(tmp_path, 0, 2)
    while not all((tmp_path / f"unit{number}").exists() for number in (0, 1, 2, 3, 4, 5, 7)):
        time.sleep(0.02)
    time.sleep(0.3)
    assert other.poll() is None, "it waits for the unit that the other process holds"
    hung.send_signal(signal.SIGKILL)
    hung.communicate()
    said, _ = other.communicate(timeout=60)
    assert said.splitlines() == [
        "a process ended and left a unit of its work unfinished; process 1 of 2 makes it",
        "6",
    ]
    assert (tmp_path / "unit6").read_text() == "6"
    assert [line for line in log(tmp_path) if line.startswith("6 ")] == ["6 1", "6 0"]
    assert len(log(tmp_path)) == 9, "nothing that was finished is made again"


def test_what_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [Path("a"), Path("b")]
    found: list[int] = []
    write_text(paths[0], "x")
    assert finish(paths, lambda index: write_text(paths[index], "y"), Place(), found=found.append) == 1
    assert found == [0]
    assert finish([Path("gone")], lambda _: pytest.fail("not needed"), Place(), results=[paths[0]]) == 0


def test_an_error_frees_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def fail(_: int) -> None:
        raise MissingError("no")

    with pytest.raises(MissingError):
        finish([Path("a")], fail, Place())
    assert finish([Path("a")], lambda _: write_text(Path("a"), "x"), Place()) == 1


def test_a_restart_says_what_a_killed_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hung = start(tmp_path, 0, 1, HANG="2")
    while not (tmp_path / "log").exists() or "2 0" not in log(tmp_path):
        time.sleep(0.02)
    hung.kill()
    hung.communicate()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    paths = [Path(f"unit{number}") for number in range(8)]
    said: list[str] = []
    assert finish(paths, lambda index: write_text(paths[index], "x"), Place(), tell=said.append) == 6
    assert said == ["a process ended and left a unit of its work unfinished; this one makes it"]
    assert not list((tmp_path / ".work/making").iterdir())


def test_a_holder_without_a_sign_of_life_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a host is lost and its locks stay."""
    hung = start(tmp_path, 1, 2, HANG="6")
    while not (tmp_path / "log").exists() or "6 1" not in log(tmp_path):
        time.sleep(0.02)
    hung.send_signal(signal.SIGSTOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(claims, "SILENT", 0.2)
    paths = [Path(f"unit{number}") for number in range(8)]
    said: list[str] = []
    made = finish(paths, lambda index: write_text(paths[index], "x"), Place(0, 2), tell=said.append)
    assert (made, paths[6].read_text()) == (6, "x")
    assert said == [
        "a process has given no sign of life for 0 s and left a unit of its work unfinished; process 1 of 2 makes it"
    ]
    hung.kill()
    hung.communicate()
