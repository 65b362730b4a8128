"""Stage retrieve on two hosts: linked network namespaces, a shared folder, `accelerate launch` on each.

Needs root (or the right to make namespaces) and the program `ip`; elsewhere it is skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.retrieving import STAGE, contents, write_workspace


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Names of two network namespaces, 10.77.0.1 and 10.77.0.2; nothing else can be reached from them."""
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
        yield names
    except PermissionError as error:
        pytest.skip(f"two hosts: may not make network namespaces ({error})")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.slow
def test_two_hosts_give_what_one_process_gives(
    hosts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_workspace(tmp_path, passages=1500, unit=50)
    flags = [
        "--multi_gpu", "--num_machines", "2", "--num_processes", "4", "--main_process_ip", "10.77.0.1",
        "--main_process_port", "29511", "--mixed_precision", "no", "--dynamo_backend", "no",
    ]  # fmt: skip
    start = time.monotonic()
    processes = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, "-m", "accelerate.commands.launch", *flags,
             "--machine_rank", str(number), *STAGE[1:], "hosts/run"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True,
        )
        for number, host in enumerate(hosts)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [text.count("has done its part") for text in said] == [1, 2], "two processes on each host"
    two = time.monotonic() - start
    start = time.monotonic()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "DVC_ROOT": str(tmp_path / "elsewhere")}
    subprocess.run([*STAGE, "one/run"], check=True, env=env)
    with capsys.disabled():
        print(f"\ntwo hosts of two processes {two:.1f} s, one process {time.monotonic() - start:.1f} s (with start-up)")
    assert contents(tmp_path / "hosts") == contents(tmp_path / "one")
