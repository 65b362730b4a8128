"""The ledger between team-mates: data/ledger is a union of immutable segments, tracked by data/ledger.dvc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from graded.errors import MissingError, ServiceError
from graded.formats.atomic import atomic
from graded.llm.store import SUFFIX, Store

POINTER = Path("data/ledger.dvc")


class Published(NamedTuple):
    """What a publication did: segments added to data/ledger, and all that are there now."""

    added: int
    segments: int


def publish(store: Store, *, push: bool = False) -> Published:
    """Seal what ended writers left, add this clone's segments to data/ledger, and track it with DVC.

    Args:
        store: this clone's ledger.
        push: also send it to DVC's default remote.

    Raises:
        MissingError: the snapshot that data/ledger.dvc names is not here, so that a union would lose it.
        ServiceError: DVC refused.
    """
    store.check_snapshot()
    with store.lock():
        store.seal(store.dead())
        added = sum(_add(path, store.snapshot) for path in sorted(store.sealed.glob(f"*{SUFFIX}")))
    if not store.snapshot.is_dir():
        raise MissingError("the ledger holds no reply yet, so there is nothing to publish")
    dvc(store.root, "add", "--quiet", str(POINTER.with_suffix("")))
    if push:
        dvc(store.root, "push", "--quiet", str(POINTER))
    return Published(added, len(list(store.snapshot.glob(f"*{SUFFIX}"))))


def pull(store: Store) -> None:
    """Fetch the snapshot that data/ledger.dvc names.

    Raises:
        MissingError: there is no data/ledger.dvc.
        ServiceError: DVC refused; its last line is quoted.
    """
    if not (store.root / POINTER).is_file():
        raise MissingError(f"no {POINTER} in {store.root.resolve()}; nobody has published a ledger here yet")
    dvc(store.root, "pull", "--quiet", str(POINTER))


def merge(store: Store, revision: str) -> Published:
    """Unite the snapshot of another revision (a branch, a commit) with this one's.

    Raises:
        MissingError: this clone's own snapshot is not here.
        ServiceError: there is no such revision or it has no data/ledger, or its segments are in no remote.
    """
    store.check_snapshot()
    with tempfile.TemporaryDirectory(dir=store.root / "data", prefix=".merge-") as folder:
        out = Path(folder) / "ledger"
        dvc(store.root, "get", "--quiet", ".", str(POINTER.with_suffix("")), "--rev", revision, "--out", str(out))
        added = sum(_add(path, store.snapshot) for path in sorted(out.glob(f"*{SUFFIX}")))
    dvc(store.root, "add", "--quiet", str(POINTER.with_suffix("")))
    return Published(added, len(list(store.snapshot.glob(f"*{SUFFIX}"))))


def _add(path: Path, folder: Path) -> bool:
    target = folder / path.name
    if target.exists():
        return False
    with atomic(target) as temporary:
        shutil.copyfile(path, temporary)
    return True


def dvc(root: Path, *arguments: str) -> str:
    """Run DVC in ``root`` and return what it printed.

    Raises:
        ServiceError: it failed; its last line is quoted.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise ServiceError(f"dvc {' '.join(arguments)} failed: {said[-1]}")
    return done.stdout
