"""A :class:`World` as a git and DVC project with every stage of dvc.yaml, for what happens to whole runs."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from graded.cli.profile import overlay
from tests import clones
from tests.faults.world import World
from tests.standin import StandIn

ROOT = Path(__file__).resolve().parents[2]
TRAIN = {"budget": "steps", "steps": 6, "batch_size": 8, "threads": 1, "checkpoint_minutes": 0}
#: What DVC would have to hash of this repository's own sources is left out, so that the project stands alone.
CONFIG = '[core]\n    analytics = false\n    check_update = false\n[cache]\n    type = "hardlink,symlink"\n'


def make(folder: Path, api: StandIn, **values: Any) -> World:
    """Make the project and run it whole."""
    folder.mkdir()
    world = World(folder, api, train=TRAIN, **values)
    world.encoder()
    (folder / "data" / "encoder").rename(folder / "tiny")
    (folder / "tiny" / "encoder.json").unlink()
    encoder = {"source": "path", "name": "tiny", "pooling": "mean", "max_length": 64, "temperature": 0.05, "sha256": {}}
    chosen = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8")) | {"encoder": encoder}
    text = overlay((ROOT / "params.yaml").read_text(encoding="utf-8"), yaml.safe_dump(chosen))
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in stages.values():
        body = stage.get("do", stage)
        body["deps"] = [path for path in body["deps"] if not path.startswith("src/")]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False), encoding="utf-8")
    shutil.copy(ROOT / "data" / ".gitignore", folder / "data")
    (folder / ".gitignore").write_text("/.ledger/\n/.work/\n/report/\n*.tmp\n", encoding="utf-8")
    clones.git(folder, "init", "--quiet", "--initial-branch=main")
    dvc(folder, "init", "--quiet")
    (folder / ".dvc" / "config").write_text(CONFIG, encoding="utf-8")
    clones.commit(folder, "start")
    done = dvc(folder, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    clones.commit(folder, "ran")
    return world


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody with a key and a budget."""
    path = f"{ROOT / 'src'}:{ROOT}"
    kept = clones.environment(folder, OPENAI_API_KEY="k", GRADED_BUDGET_USD="100")
    return kept | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | more


def dvc(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run DVC to its end."""
    return subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=folder, env=environment(folder, **more),
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start DVC in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *words], cwd=folder, env=environment(folder), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill(folder: Path, stage: str, times: int, seed: int) -> list[float]:
    """Run a stage by force and kill -9 its whole process group, ``times`` times; return the moments in seconds.

    The moments are drawn between the start and the end of an undisturbed run, which is measured first; a run that
    ends before its moment does not count.
    """
    drawn, moments = random.Random(seed), list[float]()
    begin = time.monotonic()
    assert dvc(folder, "repro", "--single-item", "--force", stage).returncode == 0
    whole = time.monotonic() - begin
    while len(moments) < times:
        mend(folder)
        process = start(folder, "repro", "--single-item", "--force", stage)
        moment = drawn.uniform(0.0, whole)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            moments.append(moment)
            process.wait()
    mend(folder)
    return moments


def mend(folder: Path) -> None:
    """Do what docs/reliability.md says where DVC was killed while it wrote a file of its own, which it does in place.

    dvc.lock comes from git; .dvc/tmp/rwlock, which says who reads and writes what right now, is deleted.
    """
    if not _whole(folder / "dvc.lock"):
        clones.git(folder, "checkout", "--", "dvc.lock")
    if not _whole(folder / ".dvc" / "tmp" / "rwlock"):
        (folder / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)


def _whole(path: Path) -> bool:
    try:
        return isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
    except (FileNotFoundError, yaml.YAMLError):
        return False


def results(folder: Path) -> dict[str, str]:
    """Return the digests of what the project says: metrics, and the outs in dvc.lock that are functions of inputs."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    found = {
        out["path"]: str(out.get("md5"))
        for stage in lock.values()
        for out in stage.get("outs", [])
        if out["path"] != "report"  # which tells of what was bought when
    }
    for path in sorted((folder / "metrics").glob("*.json")):
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def copy(folder: Path, target: Path) -> Path:
    """Copy a project with its cache, links kept as links."""
    subprocess.run(["cp", "-a", str(folder), str(target)], check=True)
    return target
