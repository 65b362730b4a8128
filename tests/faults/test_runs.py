"""What happens to a run from outside: kill -9, a second run beside it, a hand in its outs, a machine that lies."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import project
from tests.faults.full import ENTER
from tests.faults.world import TO_PAIR, World, leftovers
from tests.standin import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STAGES = (
    "encoder", "corpus", "benchmark", "sample", "query", "candidate", "grade", "agree", "balance", "pair", "train",
    "retrieve@base", "retrieve@tuned", "bm25", "evaluate", "report",
)  # fmt: skip
KILLS = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, api: StandIn) -> World:
    """A project that was run whole."""
    return project.make(tmp_path_factory.mktemp("runs") / "project", api)


@pytest.fixture
def world(made: World, tmp_path: Path) -> Path:
    """A copy of it."""
    return project.copy(made.folder, tmp_path / "project")


@pytest.mark.parametrize(
    "stage",
    [pytest.param(stage, marks=pytest.mark.xdist_group(f"runs{place % 2}")) for place, stage in enumerate(STAGES)],
)
def test_killed_in_any_stage_it_ends_with_the_same_metrics(
    world: Path, made: World, api: StandIn, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Buying stages begin with an empty ledger, so that they are killed while they buy."""
    if stage in ("query", "grade"):
        shutil.rmtree(world / ".ledger")
    api.latency, before = 0.05 if stage in ("query", "grade") else 0.0, api.counts.billed.total()
    moments = project.kill(world, stage, KILLS, seed=STAGES.index(stage))
    api.latency = 0.0
    done = project.dvc(world, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.results(world) == project.results(made.folder)
    assert "up to date" in project.dvc(world, "status").stdout
    assert len(moments) == KILLS
    assert project.dvc(world, "repro", "--single-item", "--force", stage).returncode == 0
    assert leftovers(world / "data") == [], "the next write sweeps what the killed ones left"
    assert project.results(world) == project.results(made.folder)
    with capsys.disabled():
        billed = api.counts.billed.total() - before
        print(f"\n{stage}: {KILLS} kills between {min(moments):.2f} and {max(moments):.2f} s; {billed} requests billed")


@pytest.mark.xdist_group("runs0")
def test_two_runs_at_once_exclude_each_other(world: Path, made: World) -> None:
    shutil.rmtree(world / "data" / "corpus")
    (world / "params.yaml").write_text((world / "params.yaml").read_text().replace("tau: 1", "tau: 2"))
    first = project.start(world, "repro", "--force")
    second = project.start(world, "repro", "--force")
    codes = sorted([first.wait(timeout=300), second.wait(timeout=300)])
    assert codes[0] == 0, "one of them must get through"
    again = project.dvc(world, "repro")
    assert again.returncode == 0
    wanted = project.copy(made.folder, world.parent / "alone")
    (wanted / "params.yaml").write_text((world / "params.yaml").read_text())
    assert project.dvc(wanted, "repro").returncode == 0
    assert project.results(world) == project.results(wanted)


@pytest.mark.xdist_group("runs0")
@pytest.mark.parametrize("path", ["data/pair.parquet", "data/corpus/fi.parquet", "data/run/base/set/fi-fi.trec"])
@pytest.mark.parametrize("way", ["in place", "replaced", "deleted"])
def test_an_out_edited_by_hand_is_made_again(world: Path, made: World, path: str, way: str) -> None:
    """Also in place, through the link into DVC's cache, which then holds the damage."""
    target = world / path
    assert not target.stat().st_mode & stat.S_IWUSR, "an out is read-only, so that an editor asks"
    if way == "in place":
        target.chmod(0o644)
        with target.open("r+b") as file:
            file.write(b"edited")
    else:
        target.unlink()
        if way == "replaced":
            target.write_bytes(b"edited")
    assert "up to date" not in project.dvc(world, "status").stdout
    done = project.dvc(world, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.results(world) == project.results(made.folder)
    assert target.read_bytes() == (made.folder / path).read_bytes()
    assert "up to date" in project.dvc(world, "status").stdout


@pytest.mark.xdist_group("runs0")
def test_a_home_that_may_not_be_written(world: Path, made: World) -> None:
    """Every stage by force through DVC, with HOME on a file system that is mounted read-only."""
    home = world.parent / "home"
    home.mkdir()
    mount = [*ENTER, "sh", "-c", f'mount -t tmpfs -o ro tmpfs {home} && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    assert subprocess.run([*mount, "touch", str(home / "x")], capture_output=True, check=False).returncode != 0
    shutil.rmtree(world / ".work", ignore_errors=True)
    env = project.environment(world, HOME=str(home))
    env = {name: value for name, value in env.items() if not name.startswith(("XDG_", "HF_", "IR_DATASETS", "MPL"))}
    done = subprocess.run(
        [*mount, sys.executable, "-m", "dvc", "repro", "--force"], cwd=world, env=env, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert project.results(world) == project.results(made.folder)


JUMPS = """
import time
real, real_ns, begin = time.time, time.time_ns, time.monotonic()
def back():  # an hour further back with every tenth of a second
    return 3600 * int((time.monotonic() - begin) * 10)
time.time = lambda: real() - back()
time.time_ns = lambda: real_ns() - back() * 10**9
"""


@pytest.mark.xdist_group("runs0")
def test_a_clock_that_jumps_back(tmp_path: Path, api: StandIn) -> None:
    """Python's clock goes back an hour ten times a second while replies are bought and a model is trained."""
    straight, jumping = (World(tmp_path / name, api, train=project.TRAIN) for name in ("straight", "jumping"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(JUMPS, encoding="utf-8")
    found = []
    for world, more in ((straight, ""), (jumping, f"{tmp_path / 'site'}:")):
        path = f"{more}{project.ROOT / 'src'}:{project.ROOT}"
        env = project.environment(world.folder, PYTHONPATH=path)
        env.pop("PYTHONSAFEPATH", None)
        world.encoder()
        for word in (*TO_PAIR, "train"):
            done = subprocess.run(
                [sys.executable, "-m", f"graded.stages.{word}"], cwd=world.folder, env=env, capture_output=True,
                text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        outs = ("data/pair.parquet", "data/model/model.safetensors")
        found.append([(world.folder / name).read_bytes() for name in outs])
    assert found[0] == found[1]
    status = subprocess.run(
        [sys.executable, "-c", "from graded.cli import main; main()", "ledger", "verify"], cwd=jumping.folder, env=env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "all checksums hold" in status.stdout


HUNGRY = """
import resource, sys
import torch, graded.stages.train as train
from graded.console import run
from graded.retrieval import encoder, tokens, export
from graded.retrieval.training import batch, card, checkpoint, curves, session, setup, trainer
inner = trainer.Trainer.step
def step(self, number, batch):
    if number == 3:
        held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + (int(sys.argv[1]) << 20), resource.RLIM_INFINITY))
    return inner(self, number, batch)
trainer.Trainer.step = step
run(train.main)
"""


@pytest.mark.xdist_group("runs0")
def test_out_of_memory_in_train(world: Path) -> None:
    """The address space is closed before the fourth step; the next run goes on from the last step that was saved."""
    path = world / "params.yaml"
    path.write_text(re.sub(r"batch_size: 8\b", "batch_size: 128", path.read_text(encoding="utf-8")), encoding="utf-8")
    whole = project.copy(world, world.parent / "whole")
    assert project.dvc(whole, "repro", "--single-item", "train").returncode == 0
    shutil.rmtree(world / "data" / "model")
    # Blocks go back to the system at once, so that a step needs what it takes.
    env = project.environment(world, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    for megabytes in (24, 16, 12, 8):
        shutil.rmtree(world / ".work" / "train", ignore_errors=True)
        hungry = [sys.executable, "-c", HUNGRY, str(megabytes)]
        done = subprocess.run(hungry, cwd=world, env=env, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            break
        shutil.rmtree(world / "data" / "model")
    said = [line for line in done.stderr.splitlines() if line.startswith("graded: ")]
    assert done.returncode == 1, done.stderr
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert said[0].startswith("graded: train: out of memory")
    assert "train.chunk" in said[0]
    assert not (world / "data" / "model").exists()
    again = project.dvc(world, "repro", "--force", "--single-item", "train")
    assert again.returncode == 0, again.stderr
    assert re.search(r"goes on after step [345] of 6", again.stdout)
    weights = [(folder / "data/model/model.safetensors").read_bytes() for folder in (world, whole)]
    assert weights[0] == weights[1]
