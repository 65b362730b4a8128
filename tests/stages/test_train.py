"""Stage train, started as dvc.yaml starts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from graded.errors import DataError
from graded.formats import table
from graded.retrieval import description
from graded.retrieval.description import Kind
from graded.retrieval.encoder import Encoder
from graded.stages import train
from tests import encoders, training

KINDS: tuple[Kind, ...] = ("query", "passage")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer XLM-R with prefixes."""
    folder = tmp_path_factory.mktemp("tiny")
    return encoders.random_encoder(
        folder / "encoder", "xlm-roberta", query_prefix="query: ", passage_prefix="passage: ", temperature=0.05
    )


def prepared(folder: Path, encoder: Path, **train: Any) -> Path:
    folder.mkdir(exist_ok=True)
    training.write(folder, None, **({"batch_size": 8, "epochs": 1, "learning_rate": 1e-3, "threads": 1} | train))
    shutil.copytree(encoder, folder / "data" / "encoder")
    return folder


def test_the_stage_writes_a_model_that_transformers_opens(tmp_path: Path, tiny: Path) -> None:
    folder = prepared(tmp_path / "a", tiny, dropout=0.0, batch_size=16)
    done = training.launch(folder)
    assert done.returncode == 0, done.stderr
    assert "56 of them positives" in done.stdout
    model = folder / "data" / "model"
    assert (model / "model.safetensors").read_bytes() != (tiny / "model.safetensors").read_bytes()
    record = description.read(model)
    assert (record.source, record.temperature, record.query_prefix) == ("train", 0.05, "query: ")
    configs = [json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in (tiny, model)]
    assert configs[0]["hidden_dropout_prob"] == configs[1]["hidden_dropout_prob"] == 0.1
    card = (model / "README.md").read_text(encoding="utf-8")
    for said in ("tau = 2", "| fi | 52 | 28 |", "Objective `infonce`", "graded from 0 to 3", "query: "):
        assert said in card
    for curve in ("data/train loss", "data/train learning_rate", "dvclive pairs_per_second"):
        where, _, name = curve.partition(" ")
        lines = (folder / where / "plots" / "metrics" / f"{name}.tsv").read_text().splitlines()
        assert len(lines) == 5
    texts = [training.passage("fi", number) for number in range(9)]
    want = encoders.reference(model, texts, "passage: ")
    have = Encoder.load(model).encode(texts, "passage")
    np.testing.assert_allclose(have, want / want.norm(dim=1, keepdim=True), atol=3e-6)


@pytest.mark.slow
@pytest.mark.xdist_group("sentence-transformers")
def test_two_runs_give_the_same_weights_and_sentence_transformers_the_same_vectors(tmp_path: Path, tiny: Path) -> None:
    folders = [prepared(tmp_path / name, tiny, dropout=0.1) for name in "ab"]
    for folder in folders:
        done = training.launch(folder)
        assert done.returncode == 0, done.stderr
    first, second = ((folder / "data" / "model" / "model.safetensors").read_bytes() for folder in folders)
    assert first == second

    from sentence_transformers import SentenceTransformer

    model = folders[0] / "data" / "model"
    texts = [training.passage("fi", number) for number in range(9)]
    theirs = SentenceTransformer(str(model), device="cpu")
    for kind in KINDS:
        np.testing.assert_allclose(
            Encoder.load(model).encode(texts, kind), theirs.encode(texts, prompt_name=kind), atol=1e-6
        )


def test_no_positive_is_one_line(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepared(tmp_path / "none", tiny)
    rows = [(*row[:4], False, *row[5:]) for row in training.pairs()]
    table.write_rows(folder / "data" / "pair.parquet", training.PAIRS, rows)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(DataError) as raised:
        train.main()
    assert str(raised.value) == (
        "no pair reaches tau, so there is nothing to train on; lower tau: dvc exp run -S tau=1"
    )


@pytest.mark.slow
@pytest.mark.parametrize("through_dvc", [False, True])
def test_killed_it_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, tiny: Path, through_dvc: bool) -> None:
    """kill -9 of the whole process group at three steps; then the same command to its end."""
    chosen = {"checkpoint_minutes": 0, "budget": "steps", "steps": 40, "dropout": 0.1, "weight_decay": 0.01}
    whole, torn = (prepared(tmp_path / name, tiny, **chosen) for name in ("whole", "torn"))
    assert training.launch(whole).returncode == 0
    command = training.command()
    if through_dvc:
        command = [str(Path(sys.executable).with_name("dvc")), "repro", "train"]
        training.dvc_project(torn)
    for stop in (3, 11, 26):
        training.kill_after(torn, command, stop)
        assert not (torn / "data" / "model").exists()
    done = subprocess.run(command, cwd=torn, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train: goes on after step" in done.stdout
    for name in ("model.safetensors", "README.md", "config.json"):
        assert (torn / "data" / "model" / name).read_bytes() == (whole / "data" / "model" / name).read_bytes()
    steps = [line.split("\t")[0] for line in (torn / "data/train/plots/metrics/loss.tsv").read_text().splitlines()]
    assert steps == ["step", *map(str, range(1, 41))]
    assert not list((torn / ".work" / "train").iterdir())


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_checkpoint_before_is_whole(tmp_path: Path, tiny: Path) -> None:
    """`.work` on a file system with room for two checkpoints and a half."""
    folder = prepared(tmp_path / "full", tiny, checkpoint_minutes=0, budget="steps", steps=6)
    (folder / ".work").mkdir()
    size = (tiny / "model.safetensors").stat().st_size * 3  # weights and two moments
    enter = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={int(size * 2.5) >> 10}k tmpfs .work"
    if subprocess.run([*enter, f"{mount}"], cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    inside = f'{mount} && "$@"; code=$?; find .work -name "step-*" -o -name "*.tmp"; exit $code'
    done = subprocess.run(
        [*enter, inside, "sh", *training.command()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"graded: disk full while writing {folder / '.work/train'}/")
    assert "Traceback" not in done.stderr
    left = sorted(Path(line).name for line in done.stdout.splitlines() if line.startswith(".work/"))
    assert left == ["step-000000001", "step-000000002"]


@pytest.mark.slow
def test_two_processes_through_the_launcher_end_where_one_ends(tmp_path: Path, tiny: Path) -> None:
    one, two = (prepared(tmp_path / name, tiny, budget="steps", steps=5, dropout=0.0) for name in ("one", "two"))
    assert training.launch(one).returncode == 0
    done = training.launch(two, processes=2)
    assert done.returncode == 0, done.stderr
    assert "infonce on 2 processes" in done.stdout
    assert done.stdout.count("rows of") == 1
    weights = [load_file(folder / "data" / "model" / "model.safetensors") for folder in (one, two)]
    for name, value in weights[0].items():
        if "key.bias" not in name:
            np.testing.assert_allclose(value, weights[1][name], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_adapters_are_merged_into_a_folder_like_any_other(tmp_path: Path, tiny: Path) -> None:
    folder = prepared(tmp_path / "lora", tiny, lora={"rank": 4})
    assert training.launch(folder).returncode == 0
    before, after = load_file(tiny / "model.safetensors"), load_file(folder / "data" / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved
    assert all(name.endswith("weight") and "embeddings" not in name and "LayerNorm" not in name for name in moved)


@pytest.mark.slow
def test_two_processes_mine_and_one_of_them_says_what_is_wrong(tmp_path: Path, tiny: Path) -> None:
    """Mined negatives on two CPU processes are those of one; an error of both stands once in front of torchrun's."""
    asked = {"per_query": 2, "share_mined": 0.5, "ranks": [2, 30]}
    chosen = {"budget": "steps", "steps": 3, "dropout": 0.0, "negatives": asked}
    one, two = (prepared(tmp_path / name, tiny, **chosen) for name in ("one", "two"))
    found = []
    for folder, processes in ((one, 1), (two, 2)):
        done = training.launch(folder, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("train: mined ") == 1
        assert len(list((folder / ".work" / "mined").iterdir())) == 2
        facts = json.loads((folder / "data" / "train" / "metrics.json").read_text(encoding="utf-8"))
        assert facts["negatives_asked"] == 2 * facts["rows"] == 48
        found.append(facts)
    assert found[0].pop("loss") == pytest.approx(found[1].pop("loss"), abs=1e-5)
    assert found[0] == found[1]
    table.write_rows(two / "data" / "pair.parquet", training.PAIRS, [])
    done = training.launch(two, processes=2)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("graded: ")]
    assert len(said) == 1
    assert "holds no pair" in said[0]
    root = done.stderr.rpartition("Root Cause")[2]
    assert f"traceback : {said[0].removeprefix('graded: ')}" in root, "docs/training.md points there"


@pytest.mark.slow
def test_a_launch_of_several_that_starts_one_says_so(tmp_path: Path, tiny: Path) -> None:
    folder = prepared(tmp_path / "cpu", tiny, budget="steps", steps=1)
    command = training.command()
    command[command.index("-m", 3) : command.index("-m", 3)] = ["--cpu", "--num_processes", "2"]
    env = {key: value for key, value in os.environ.items() if key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accelerate started one process, although it was told of several" in done.stdout
    assert "on 1 process (cpu)" in done.stdout
