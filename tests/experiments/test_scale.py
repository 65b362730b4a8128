"""`graded scale`: counted by hand, and the tables and examples that the docs show."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from graded.experiments import scale
from graded.experiments.facts import Facts
from tests import scale_tables
from tests.closure import ROOT


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.chdir(ROOT)
    return Facts()


def test_models_and_passages_by_hand(facts: Facts) -> None:
    found = scale.runs(facts)
    assert len(found) == 108 + 108 + 60 + 15
    assert len({run.training for run in found}) == 108 + 108 + 48, "Table 1's and Figure 7's own are Figure 5's"
    fi = next(run for run in found if run.target == "fi")
    assert scale.encoded(facts, fi, scale.Way()) == {"miracl": 1883509}
    assert scale.encoded(facts, fi, scale.Way(pool=True)) == {"miracl": 1271 * 110}


def test_batches_cost_half(facts: Facts) -> None:
    batch, online = (sum(p.dollars for p in scale.parts(facts, scale.Way(batch=way))) for way in (True, False))
    assert batch == pytest.approx(online / 2)


def test_what_is_measured_is_kept(facts: Facts) -> None:
    measured = {key: fact for key, fact in facts.facts.items() if fact.kind == "measured"}
    assert measured
    for key, fact in measured.items():
        path, _, what = fact.source.partition(": ")
        kept = json.loads((ROOT / path).read_text(encoding="utf-8"))["ratios"]
        figure = next(value["median"] for name, value in kept.items() if name.startswith(what.partition(",")[0]))
        assert figure == pytest.approx(facts.one(key), rel=0.02), f"{key}: {path} has {figure}"


def test_the_docs_show_what_is_printed() -> None:
    shown = scale_tables.TABLES.search(scale_tables.DOC.read_text(encoding="utf-8"))
    assert shown is not None
    assert shown[0] == scale_tables.printed(), "python -m tests.scale_tables --write"
    assert max(map(len, shown[0].splitlines())) <= 104, "100 columns, indented"


#: Fields of a SkyPilot task that the examples may use: https://docs.skypilot.co/en/latest/reference/yaml-spec.html
SKYPILOT = {"name", "workdir", "num_nodes", "resources", "envs", "secrets", "file_mounts", "setup", "run", "config"}
RESOURCES = {"infra", "accelerators", "cpus", "memory", "disk_size", "disk_tier", "use_spot", "image_id", "any_of"}


def examples() -> dict[str, str]:
    """Return the shell programs of the examples by file and part."""
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples/slurm").glob("*.sbatch")}
    for path in (ROOT / "examples").glob("*.yaml"):
        task = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert set(task) <= SKYPILOT
        assert set(task["resources"]) <= RESOURCES
        assert re.fullmatch(r"[A-Z0-9]+:\d+", task["resources"]["accelerators"])
        assert all(isinstance(value, str | None) for one in ("envs", "secrets") for value in task.get(one, {}).values())
        found |= {f"{path.name} {part}": task[part] for part in ("setup", "run")}
    return found


def test_examples_are_programs_of_stages_and_commands_that_are_there() -> None:
    found = examples()
    assert len(found) == 6
    for name, program in found.items():
        subprocess.run(["bash", "-n"], input=program, text=True, check=True)
        for stage in re.findall(r"graded\.stages\.(\w+)", program):
            assert (ROOT / f"src/graded/stages/{stage}.py").is_file(), name
        for stage in re.findall(r"dvc repro ([a-z ]+)$", program, re.M):
            assert set(stage.split()) <= set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]), name
        for sweep in re.findall(r"graded sweep (\w+)", program):
            assert (ROOT / f"sweeps/{sweep}.yaml").is_file(), name
    assert all("set -euo pipefail" in program for name, program in found.items() if not name.endswith("setup"))


@pytest.mark.slow
def test_the_launchers_flags_are_accelerates() -> None:
    from accelerate.commands.launch import launch_command_parser

    known = {option for action in launch_command_parser()._actions for option in action.option_strings}
    programs = [program for program in examples().values() if "accelerate launch" in program]
    assert len(programs) == 2
    for program in programs:
        launched = program.partition("accelerate launch")[2].partition(" -m ")[0]
        assert set(re.findall(r"--\w+", launched)) <= known


def test_a_job_of_eight_hosts_starts_a_launcher_on_each(tmp_path: Path) -> None:
    """The Slurm script under stand-ins for srun, scontrol and accelerate that say how they were called."""
    tools = {
        "srun": 'for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done',
        "scontrol": "printf 'node-a\\nnode-b\\n'",
        "accelerate": 'printf "%s|" "$@"; echo',
    }
    home = tmp_path / ".venv/bin"
    home.mkdir(parents=True)
    for name, body in tools.items():
        (home / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (home / name).chmod(0o755)
    command = ["bash", str(ROOT / "examples/slurm/stage.sbatch"), "retrieve", "--encoder", "data/model", "--run", "a b"]
    env = {"PATH": "/usr/bin:/bin", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node-[a-b]"}
    said = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout
    first, second = said.splitlines()
    assert "|--num_processes|16|--machine_rank|0|--main_process_ip|node-a|" in first
    assert "|--machine_rank|1|" in second
    assert first.endswith("|-m|graded.stages.retrieve|--encoder|data/model|--run|a b|")
    none = subprocess.run(command[:2], cwd=tmp_path, env=env, check=False, capture_output=True, text=True)
    assert none.returncode == 1
    assert "name a stage: sbatch examples/slurm/stage.sbatch candidate" in none.stderr
