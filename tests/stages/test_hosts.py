"""Stages candidate, retrieve and train on two hosts: linked network namespaces, a shared folder, a launcher on each.

Needs root (or the right to make namespaces) and the program `ip`; elsewhere it is skipped with the reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests import encoders, launching, training
from tests.retrieving import contents, write_workspace
from tests.stages.test_processes import candidates, write_candidates

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes"), pytest.mark.timeout(1200)]

RETRIEVE = ("retrieve", "--encoder", "data/encoder", "--run", "run")


class Host:
    """A network namespace: its name, its address, and the interface that leads to the other."""

    def __init__(self, name: str, number: int, interface: str) -> None:
        self.name, self.number, self.interface = name, number, interface

    def start(self, folder: Path, program: list[str], **more: str) -> subprocess.Popen[str]:
        """Start the launcher of two of the four processes here."""
        launcher = launching.flags(
            4, 29511, "--num_machines", "2", "--machine_rank", str(self.number), "--main_process_ip", "10.77.0.1"
        )
        enter = ["ip", "netns", "exec", self.name]
        return launching.start([*enter, *launcher, *program], folder, GLOO_SOCKET_IFNAME=self.interface, **more)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """Two network namespaces, 10.77.0.1 and 10.77.0.2; nothing else can be reached from them."""
    if shutil.which("ip") is None:
        pytest.skip("two hosts: the program `ip` (iproute2) is not here")
    tag = uuid.uuid4().hex[:6]
    names = [f"graded-{tag}-{number}" for number in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
        ends = [f"gr{tag}{number}" for number in range(2)]
        ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield [Host(name, number, end) for number, (name, end) in enumerate(zip(names, ends, strict=True))]
    except PermissionError as error:
        pytest.skip(f"two hosts: may not make network namespaces ({error})")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def both(hosts: list[Host], folder: Path, program: list[str], **more: str) -> list[str]:
    """Run a program on both hosts to its end and return what each said."""
    processes = [host.start(folder, program, **more) for host in hosts]
    return [launching.end(process) for process in processes]


@pytest.mark.parametrize(("stage", "listed"), [("candidate", False), ("retrieve", False), ("retrieve", True)])
def test_a_search_on_two_hosts_is_that_of_one_process(
    hosts: list[Host], tmp_path: Path, stage: str, listed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then again with a process killed on the second host: the first one goes on, or both are started again."""
    one, two, torn = (tmp_path / name for name in ("one", "two", "torn"))
    arguments = RETRIEVE if stage == "retrieve" else ("candidate",)
    for folder in (one, two, torn):
        folder.mkdir()
        if stage == "candidate":
            write_candidates(folder)
        else:
            write_workspace(folder, passages=2000, unit=40, listed=listed)
    begin = time.monotonic()
    both(hosts, two, launching.noting(two, *arguments))
    seconds = time.monotonic() - begin
    made = launching.notes(two)
    assert len(made) == len({unit for _, unit in made}) == 100, "each unit once"
    assert {rank for rank, _ in made} == {"0", "1", "2", "3"}, "two processes on each host"
    launching.end(launching.start([sys.executable, *launching.noting(one, *arguments)], one))

    program = launching.noting(torn, *arguments)
    first = [host.start(torn, program) for host in hosts]
    hits = torn / ".work/hits"
    launching.kill_a_rank(first[1], 3, lambda: hits.is_dir() and len(list(hits.glob("[0-9a-f]*.parquet"))) > 10)
    if stage == "candidate":
        # The first host takes over what the other leaves; its launcher then waits minutes for it, to no purpose.
        launching.wait(lambda: (torn / "data/candidate").exists())
        launching.kill(first[0])
        assert len(launching.notes(torn)) <= 100 + 4, "no more is made twice than four processes had at hand"
    else:
        launching.kill(first[0])
        kept = len(list(hits.glob("[0-9a-f]*.parquet")))
        assert 10 < kept < 100
        assert not (torn / "run").exists()
        (torn / "notes").unlink()
        both(hosts, torn, program)
        assert len(launching.notes(torn)) == 100 - kept, "what was finished is not made again"
    outs = [contents(folder) if stage == "retrieve" else candidates(folder) for folder in (one, two, torn)]
    assert outs[0]
    assert outs[0] == outs[1] == outs[2]
    with capsys.disabled():
        kind = " of listed passages" if listed else ""
        print(f"\n{stage}{kind}: two hosts of two processes, one thread each: {seconds:.1f} s with start-up")


def test_training_on_two_hosts_is_that_of_one(hosts: list[Host], tmp_path: Path) -> None:
    tiny = encoders.random_encoder(tmp_path / "encoder", "xlm-roberta", temperature=0.05)
    chosen = {"batch_size": 8, "budget": "steps", "steps": 12, "dropout": 0.0, "threads": 1, "checkpoint_minutes": 0}
    local, two = (tmp_path / name for name in ("local", "two"))
    for folder in (local, two):
        folder.mkdir()
        training.write(folder, None, **chosen)
        shutil.copytree(tiny, folder / "data" / "encoder")
    program = ["-m", "graded.stages.train"]
    launching.end(launching.start([*launching.flags(4, training.free_port()), *program], local, ACCELERATE_USE_CPU="1"))
    said = both(hosts, two, program, ACCELERATE_USE_CPU="1")
    assert "infonce on 4 processes" in said[0]
    weights = [load_file(folder / "data/model/model.safetensors") for folder in (local, two)]
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name], err_msg=name)
