"""A sweep with more workers than GPUs, on DVC's own queue; the number of GPUs is planted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.experiments import toy

#: In front of the toy's stage: takes a GPU of two, fails where another experiment uses it, and notes which it was.
TAKES = """
import os, time
from graded.retrieval import gpu
gpu.claim(count=lambda: 2, poll=0.1)
name = os.environ["CUDA_VISIBLE_DEVICES"]
place = os.path.join(os.environ["DVC_ROOT"], "using-" + name)
os.close(os.open(place, os.O_CREAT | os.O_EXCL))
time.sleep(4)
os.unlink(place)
with open(os.path.join(os.environ["DVC_ROOT"], "used"), "a") as notes:
    notes.write(name + "\\n")
"""


@pytest.mark.slow
def test_each_experiment_has_a_gpu_of_its_own(tmp_path: Path) -> None:
    folder = toy.make(tmp_path / "repo")
    stage = folder / "stage.py"
    stage.write_text(TAKES + stage.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "sweeps").mkdir()
    text = {"title": "t", "form": {"full": {"set": {}, "grids": [{"tau": [1, 2, 3]}]}}}
    (folder / "sweeps" / "mini.yaml").write_text(json.dumps(text), encoding="utf-8")
    toy.commit(folder, "takes a GPU")
    said = toy.run(folder, "graded", "sweep", "mini", "--jobs", "3")
    assert said.count("done ") == 3
    used = (folder / "used").read_text(encoding="utf-8").split()
    assert len(used) == 3
    assert set(used) <= {"0", "1"}
