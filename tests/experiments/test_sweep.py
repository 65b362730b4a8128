"""Sweeps, results and calibration on a real git and DVC repository with DVC's own queue."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from graded.experiments import tidy
from tests.experiments import toy

pytestmark = pytest.mark.xdist_group("queue")


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy.make(tmp_path_factory.mktemp("toy") / "repo")
    (folder / "sweeps").mkdir()
    toy.run(folder, "dvc", "repro", "--quiet", "evaluate")
    toy.commit(folder, "first run")
    return folder


def graded(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        ["graded", *arguments], cwd=folder, env=toy.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def write_sweep(folder: Path, taus: Sequence[float], seconds: float = 0.0) -> None:
    text = {"title": "t", "form": {"full": {"set": {"train.weight_decay": seconds}, "grids": [{"tau": list(taus)}]}}}
    (folder / "sweeps" / "mini.yaml").write_text(json.dumps(text), encoding="utf-8")


@pytest.fixture(scope="module")
def swept(repo: Path) -> Path:
    """The repository with the experiments of tau 1 and 3; where the first test has run, they are there already."""
    write_sweep(repo, [1, 3])
    graded(repo, "sweep", "mini")
    return repo


@pytest.mark.slow
def test_a_sweep_from_start_to_table(repo: Path) -> None:
    write_sweep(repo, [1, 2.5])
    said = graded(repo, "sweep", "mini", code=1)
    assert "2 experiments: 0 there already, 0 in the queue, 2 to queue" in said
    assert "hours: unknown" in said
    assert re.search(r"1 of 2 experiments failed, the first mini-tau2\.5: .*no grade reaches tau 2\.5", said)
    write_sweep(repo, [1, 3])
    said = graded(repo, "sweep", "mini", "--dry")
    assert "2 experiments: 1 there already, 0 in the queue, 1 to queue" in said
    assert re.search(r"hours: about 0\.0 \(0:\d\d\) with 1 at a time, from \d recorded runs?", said)
    assert "mini-tau3" in said
    said = graded(repo, "sweep", "mini", "--jobs", "2")
    assert "done 1/1: mini-tau3" in said
    assert re.search(r"mini-tau1 +mean of 2 +0\.\d{4} +0\.\d{4} +[+-]0\.\d{4} \[[+-]0\.\d{4}, [+-]0\.\d{4}\] +48", said)
    assert max(map(len, said.splitlines())) <= 100
    said = graded(repo, "sweep", "mini")
    assert "2 there already, 0 in the queue, 0 to queue" in said
    assert "done " not in said
    assert toy.run(repo, "git", "status", "--porcelain", "--untracked-files=no") == ""


@pytest.mark.slow
def test_equal_means_equal_params_and_source(swept: Path) -> None:
    repo = swept
    write_sweep(repo, [1, 3])
    assert "2 there already" in graded(repo, "sweep", "mini", "--dry")
    params, stage = repo / "params.yaml", repo / "stage.py"
    for path, old, new, there in (
        (params, "seed: 13", "seed: 14", 0),
        (params, "report: {}", "report: {examples: 5}", 2),  # no stage behind the scores reads it
        (stage, "rows = []", "rows = list()", 0),
    ):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert f"{there} there already" in graded(repo, "sweep", "mini", "--dry")
        path.write_text(text, encoding="utf-8")
    text = (repo / "sweeps" / "mini.yaml").read_text(encoding="utf-8")
    (repo / "sweeps" / "other.yaml").write_text(text, encoding="utf-8")
    assert "2 there already (2 under another name)" in graded(repo, "sweep", "other", "--dry")


@pytest.mark.slow
def test_results_are_what_the_experiments_scored(swept: Path) -> None:
    repo = swept
    said = graded(repo, "results", "--sweep", "mini", "--out", "results/mini.csv")
    assert "2 experiments" in said
    rows = tidy.read(repo / "results" / "mini.csv")
    scores = tidy.read(repo / "results" / "mini.scores.parquet", tidy.SCORES)
    assert {row["experiment"] for row in rows} == {"mini-tau1", "mini-tau3"}
    assert {row["sweep"] for row in rows} == {"mini"}
    assert all(row["commit"] and row["baseline"] for row in rows)
    for row in rows:
        own = [
            score["value"]
            for score in scores
            if all(score[name] == row[name] for name in ("experiment", "set", "query_lang", "system", "metric"))
        ]
        assert len(own) == row["queries"] == 24
        assert row["value"] == pytest.approx(sum(own) / 24)
        assert row["low"] < row["value"] < row["high"]
        assert row["tau"] == row["experiment"][-1]
        if row["system"] == "tuned":
            assert row["difference_low"] < row["difference"] < row["difference_high"]
            assert (row["train_pairs"], row["train_positives"]) == (400, 134)
        else:
            assert row["difference"] is None


def test_results_of_names_that_are_none(repo: Path) -> None:
    assert "received 'nothing'" in graded(repo, "results", "nothing", code=1)
    said = graded(repo, "results", "workspace", "main", "--out", "results/two.parquet")
    assert "2 experiments" in said
    names = {row["experiment"]: row["commit"] for row in tidy.read(repo / "results" / "two.parquet")}
    assert names["workspace"] is None
    assert names["main"] == toy.run(repo, "git", "rev-parse", "main").strip()


@pytest.mark.slow
def test_experiments_of_a_teammate_count_and_are_gathered(swept: Path, tmp_path: Path) -> None:
    repo = swept
    toy.run(tmp_path, "git", "init", "--quiet", "--bare", "--initial-branch", "main", "origin.git")
    toy.run(repo, "dvc", "remote", "add", "--force", "--default", "store", str(tmp_path / "store"))
    toy.run(repo, "git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    write_sweep(repo, [1, 3])
    toy.commit(repo, "remote")
    assert "2 there already" in graded(repo, "sweep", "mini", "--dry")  # the remote's address changes no score
    write_sweep(repo, [1.5])
    graded(repo, "sweep", "mini")
    toy.run(repo, "git", "push", "--quiet", "origin", "main")
    toy.run(repo, "dvc", "exp", "push", "--quiet", "origin", "mini-tau1.5")
    toy.run(tmp_path, "git", "clone", "--quiet", str(tmp_path / "origin.git"), "mate")
    mate = tmp_path / "mate"
    write_sweep(mate, [1.5])
    assert "1 there already" in graded(mate, "sweep", "mini", "--dry")
    assert "1 experiment," in graded(mate, "results", "--sweep", "mini")
    assert tidy.read(mate / "results" / "results.parquet")[0]["train_pairs"] == 400


@pytest.mark.slow
def test_interrupted_and_killed_sweeps_go_on(repo: Path) -> None:
    write_sweep(repo, [1, 2, 3], seconds=3)
    process = subprocess.Popen(
        ["graded", "sweep", "mini"],
        cwd=repo,
        env=toy.environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("start"):
            break
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    said = graded(repo, "sweep", "mini")
    assert re.search(r"[12] (there already|in the queue)", said)
    assert "weight_decay: 0" in (repo / "params.yaml").read_text(encoding="utf-8")
    names = toy.run(repo, "dvc", "exp", "list", "--name-only").split()
    assert sum(name.startswith("mini-tau2") for name in names) == 1


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(repo: Path) -> None:
    write_sweep(repo, [1, 2], seconds=5)
    process = subprocess.Popen(
        ["graded", "sweep", "mini"],
        cwd=repo,
        env=toy.environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("start"):
            break
    pids = repo / ".dvc" / "tmp" / "exps" / "celery"
    workers = [path for path in pids.rglob("*.json") if path.name.startswith("dvc-exp-worker")]
    assert workers
    for path in workers:
        os.kill(json.loads(path.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said


@pytest.mark.slow
def test_calibrate_finds_what_the_toy_plants(repo: Path) -> None:
    said = graded(repo, "calibrate", "--size", "400", "--jobs", "2", "--out", "results/c")
    assert "-S 'tau={fi:2,ar:1}'" in said
    assert max(map(len, said.splitlines())) <= 100
    record = json.loads((repo / "results" / "c" / "calibrate.json").read_text(encoding="utf-8"))
    assert record["models"][0]["share_of_grid"] <= 0.5
    assert (repo / "results" / "c" / "calibrate.png").read_bytes()[:4] == b"\x89PNG"
    again = graded(repo, "calibrate", "--size", "400", "--out", "results/c")
    assert "0 to queue" in again
