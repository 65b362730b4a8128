"""GPUs for experiments that run at once, with a planted number of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from graded.retrieval import gpu

WORKER = """
import os, sys, time
from graded.retrieval import gpu
gpu.claim(count=lambda: 2, poll=0.01)
name = os.environ["CUDA_VISIBLE_DEVICES"]
os.close(os.open(f"using-{name}", os.O_CREAT | os.O_EXCL))  # fails where another one uses it
time.sleep(0.05)
os.unlink(f"using-{name}")
print(name)
"""


@pytest.fixture(autouse=True)
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(gpu, "_held", [])


def environment(**more: str) -> dict[str, str]:
    return {"DVC_EXP_NAME": "tau2", **more}


def test_each_takes_a_free_one_and_the_next_waits(capsys: pytest.CaptureFixture[str]) -> None:
    one, two, three = environment(), environment(), environment()
    first = gpu.claim(one, lambda: 2)
    gpu.claim(two, lambda: 2)
    assert (one[gpu.VISIBLE], two[gpu.VISIBLE]) == ("0", "1")
    waiting = threading.Thread(target=gpu.claim, args=(three, lambda: 2, 0.01))
    waiting.start()
    said = ""
    while not said:
        said = capsys.readouterr().out
    assert gpu.VISIBLE not in three
    assert first is not None
    first.close()
    waiting.join()
    assert three[gpu.VISIBLE] == "0"
    assert said + capsys.readouterr().out == "waits for a GPU: other experiments use all 2 of this host\n"


def test_what_the_user_allowed_is_kept_to() -> None:
    one, two, none = environment(), environment(), environment()
    one[gpu.VISIBLE], two[gpu.VISIBLE], none[gpu.VISIBLE] = "3, GPU-ab", "3,GPU-ab", ""
    gpu.claim(one, lambda: 8)
    gpu.claim(two, lambda: 8)
    assert (one[gpu.VISIBLE], two[gpu.VISIBLE]) == ("3", "GPU-ab")
    assert gpu.claim(none, lambda: 8) is None
    hidden = environment(CUDA_VISIBLE_DEVICES="-1")
    assert gpu.claim(hidden, lambda: 8) is None


def test_nothing_is_taken_where_it_is_not_asked_for() -> None:
    for one in ({}, environment(RANK="0", WORLD_SIZE="2"), environment(ACCELERATE_USE_CPU="true")):
        assert gpu.claim(one, lambda: 2) is None
        assert gpu.VISIBLE not in one
    assert gpu.claim(environment(), lambda: 0) is None


def test_five_processes_on_two_gpus_never_meet() -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("RANK", gpu.VISIBLE)}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER], env=clean | environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    said = [worker.communicate(timeout=60)[0].splitlines()[-1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 5
    assert set(said) <= {"0", "1"}
