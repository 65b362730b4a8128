"""Stages candidate, retrieve and train on four processes of this machine: results of one process, a rank killed.

All of it through `accelerate launch`, as on a host of four GPUs.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from graded.formats import table
from graded.stages.query import SCHEMA as QUERY
from tests import encoders, launching, training
from tests.retrieving import contents, text, write_workspace
from tests.workspace import write_params

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes"), pytest.mark.timeout(1200)]

PASSAGES, UNIT = 2000, 40
RETRIEVE = ("retrieve", "--encoder", "data/encoder", "--run", "run")


def write_candidates(folder: Path) -> None:
    """Two languages, 2,000 passages and 200 queries each."""
    write_params(folder, candidate={"k": 5, "unit": UNIT})
    encoders.random_encoder(folder / "data/encoder", "bert")
    for number, lang in enumerate(["fi", "ar"]):
        rows = [(f"{lang}{index}", "", text(5000 * number + index)) for index in range(PASSAGES)]
        table.write_rows(folder / f"data/sample/{lang}.parquet", table.PASSAGES, rows)
        asked = [(f"q{index}", f"{lang}{index}", "question", text(9 * index + number), "ok") for index in range(200)]
        table.write_rows(folder / f"data/query/{lang}.parquet", QUERY, asked)


def candidates(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "data/candidate").glob("*.parquet"))}


@pytest.mark.parametrize("kind", ["candidate", "retrieve", "listed"])
def test_a_search_is_that_of_one_process_and_a_killed_one_goes_on(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stage candidate, and retrieve where it searches whole corpora and where it ranks listed passages alone."""
    one, four, torn = (tmp_path / name for name in ("one", "four", "torn"))
    arguments = ("candidate",) if kind == "candidate" else RETRIEVE
    for folder in (one, four, torn):
        folder.mkdir()
        if kind == "candidate":
            write_candidates(folder)
        else:
            write_workspace(folder, passages=PASSAGES, unit=UNIT, listed=kind == "listed")
    units = 2 * PASSAGES // UNIT
    seconds = {}
    begin = time.monotonic()
    alone = launching.start([sys.executable, *launching.noting(one, *arguments)], one)
    launching.end(alone)
    seconds[1] = time.monotonic() - begin
    begin = time.monotonic()
    command = launching.flags(4, training.free_port())
    launching.end(launching.start([*command, *launching.noting(four, *arguments)], four))
    seconds[4] = time.monotonic() - begin
    made = launching.notes(four)
    assert len(made) == len({unit for _, unit in made}) == units, "each unit once"
    assert len({rank for rank, _ in made}) == 4, "every process has a part"

    again = [*command, *launching.noting(torn, *arguments)]
    hits = torn / ".work/hits"
    first = launching.start(again, torn)
    launching.kill_a_rank(first, 2, lambda: hits.is_dir() and len(list(hits.glob("[0-9a-f]*.parquet"))) > 10)
    finished = len(list(hits.glob("[0-9a-f]*.parquet")))
    assert 10 < finished < units
    assert not (torn / "run").exists()
    assert not (torn / "data/candidate").exists()
    (torn / "notes").unlink()
    launching.end(launching.start(again, torn))
    assert len(launching.notes(torn)) == units - finished, "what was finished is not made again"
    outs = [candidates(folder) if kind == "candidate" else contents(folder) for folder in (one, four, torn)]
    assert outs[0]
    assert outs[0] == outs[1] == outs[2]
    with capsys.disabled():
        times = ", ".join(f"{count} {value:.1f} s" for count, value in seconds.items())
        print(f"\n{kind}, processes of one thread: {times} with start-up; killed after {finished} of {units}")


def test_training_is_that_of_one_process_and_a_killed_one_goes_on(tmp_path: Path) -> None:
    tiny = encoders.random_encoder(tmp_path / "encoder", "xlm-roberta", temperature=0.05)
    chosen = {"batch_size": 8, "budget": "steps", "steps": 30, "dropout": 0.0, "threads": 1, "checkpoint_minutes": 0}
    one, four, torn = (tmp_path / name for name in ("one", "four", "torn"))
    for folder in (one, four, torn):
        folder.mkdir()
        training.write(folder, None, **chosen)
        shutil.copytree(tiny, folder / "data" / "encoder")
    assert training.launch(one).returncode == 0
    command = [*launching.flags(4, training.free_port()), "-m", "graded.stages.train"]
    on_cpu = {"ACCELERATE_USE_CPU": "true"}
    said = launching.end(launching.start(command, four, **on_cpu))
    assert "infonce on 4 processes" in said
    killed = launching.start(command, torn, **on_cpu)
    launching.kill_a_rank(killed, 2, lambda: any(int(p.name[5:]) >= 7 for p in torn.glob(".work/train/*/step-*")))
    assert not (torn / "data/model").exists()
    said = launching.end(launching.start(command, torn, **on_cpu))
    assert "train: goes on after step" in said
    weights = [load_file(folder / "data/model/model.safetensors") for folder in (one, four, torn)]
    for name, value in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], weights[2][name], err_msg=name)
        if "key.bias" not in name:
            np.testing.assert_allclose(value, weights[1][name], atol=1e-4, err_msg=name)
