"""The ledger between team-mates: data/ledger is a union of immutable segments, tracked by data/ledger.dvc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

from graded import remote, remote_check
from graded.errors import GradedError, MissingError, ParamError, ServiceError
from graded.formats.atomic import atomic, write_text
from graded.llm.store import POINTER, SUFFIX, Store, pointer
from graded.repository import git_says


class Published(NamedTuple):
    """What a publication did: segments added to data/ledger, and all that are there now."""

    added: int
    segments: int


def publish(store: Store, *, push: bool = False) -> Published:
    """Seal what ended writers left, add this clone's segments to data/ledger, and track it with DVC.

    Args:
        store: this clone's ledger.
        push: also send it to the team's remote, DVC's default one.

    Raises:
        MissingError: the snapshot that data/ledger.dvc names is not here, so that a union would lose it; or it is to
            be sent and no team's remote is set.
        ServiceError: DVC or the remote refused; what was published here stays, and the same command goes on.
    """
    team = remote.named(store.root)
    if push and team is None:
        raise MissingError("no team's remote is set, so nothing can be sent; graded remote s3://bucket/prefix")
    store.check_snapshot()
    with store.lock():
        store.seal(store.dead())
        added = sum(_add(path, store.snapshot) for path in sorted(store.sealed.glob(f"*{SUFFIX}")))
    if not store.snapshot.is_dir():
        raise MissingError("the ledger holds no reply yet, so there is nothing to publish")
    track(store, team)
    if push:
        remote_check.check(store.root)
        _transfer(store, "push")
        remote_check.mend(store.root, _objects(store))
    return Published(added, len(list(store.snapshot.glob(f"*{SUFFIX}"))))


def pull(store: Store) -> None:
    """Fetch the snapshot that data/ledger.dvc names.

    Raises:
        MissingError: there is no data/ledger.dvc.
        ServiceError: the remote refused, or does not have it; what came is kept, and the same command goes on.
        DataError: a segment came damaged.
    """
    if not (store.root / POINTER).is_file():
        raise MissingError(f"no {POINTER} in {store.root.resolve()}; nobody has published a ledger here yet")
    source = remote.named(store.root, pointer(store.root).get("remote"))
    if source is not None and source.scheme:
        remote_check.check(store.root, source.name)
    _transfer(store, "pull")


def merge(store: Store, revision: str) -> Published:
    """Unite the snapshot of another revision (a branch, a commit) with this one's, also in a merge that git began.

    Where git could not merge data/ledger.dvc or dvc.lock, this side's is taken first; `dvc repro` renews dvc.lock.

    Raises:
        ParamError: there is no such revision; nothing is touched.
        MissingError: this clone's own snapshot is not here.
        ServiceError: the revision has no data/ledger, or its segments are in no remote.
    """
    if not git_says(store.root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"):
        raise ParamError(
            f"no revision {revision!r} here; expected a branch, tag or commit: git fetch; git branch --all"
        )
    unmerged = git_says(store.root, "ls-files", "--unmerged", "--", str(POINTER), "dvc.lock") or ""
    for name in {line.partition("\t")[2] for line in unmerged.splitlines()}:
        # DVC reads neither with git's marks in it; the other side is `revision`
        git_says(store.root, "checkout", "--quiet", "--ours", "--", name)
    store.check_snapshot()
    with tempfile.TemporaryDirectory(dir=store.root / "data", prefix=".merge-") as folder:
        out = Path(folder) / "ledger"
        dvc(store.root, "get", ".", str(POINTER.with_suffix("")), "--rev", revision, "--out", str(out))
        added = sum(_add(path, store.snapshot) for path in sorted(out.glob(f"*{SUFFIX}")))
    track(store, remote.named(store.root))
    return Published(added, len(list(store.snapshot.glob(f"*{SUFFIX}"))))


def place(root: Path) -> str:
    """Say where the snapshot's objects are kept."""
    out = pointer(root)
    if not out:
        return "none yet"
    where = out.get("remote") or "the team's remote"
    return f"{out.get('nfiles', 0)} segments in {where}" + ("" if out.get("push", True) else ", not pushed")


def track(store: Store, team: remote.Remote | None) -> None:
    """Track data/ledger by data/ledger.dvc; where the team has a remote, its objects belong there.

    DVC keeps ``remote: sample`` and ``push: false`` of the shipped pointer, which hold as long as nobody has a place
    to push to: then no push can end in the sample's folder.
    """
    dvc(store.root, "add", str(POINTER.with_suffix("")))
    path = store.root / POINTER
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    out = fields["outs"][0]
    if team is None or out.get("remote") != remote.SAMPLE:
        return
    del out["remote"]
    out.pop("push", None)
    write_text(path, yaml.safe_dump(fields, sort_keys=False))
    git_says(store.root, "add", "--", str(POINTER))


def _transfer(store: Store, verb: str) -> None:
    """Push or pull the snapshot; a failure is explained by what is and is not here afterwards."""
    try:
        dvc(store.root, verb, str(POINTER))
    except ServiceError as error:
        try:
            remote_check.check(store.root, pointer(store.root).get("remote"))
        except GradedError as cause:
            raise cause from None
        if verb == "push":
            raise ServiceError(f"{error}; what was sent is kept, and the same command goes on") from None
        raise ServiceError(_lacking(store, error)) from None


def _objects(store: Store) -> dict[str, Path]:
    """Return the cached objects that data/ledger.dvc stands for, by MD5: the segments, then their list."""
    name, folder = str(pointer(store.root).get("md5", "")), remote.cache(store.root) / "files" / "md5"
    listing = folder / name[:2] / name[2:]
    if not listing.is_file():
        return {}
    entries = [str(one["md5"]) for one in json.loads(listing.read_text(encoding="utf-8"))]
    return {one: folder / one[:2] / one[2:] for one in [*entries, name]}


def _lacking(store: Store, error: ServiceError) -> str:
    """Return which segments DVC could not fetch whole: it keeps none whose hash is not its name's."""
    source = remote.named(store.root, pointer(store.root).get("remote"))
    found = _objects(store)
    if source is None or not found:
        return f"{error}; has data/ledger been pushed? In the clone that bought: graded ledger publish --push"
    gone = [name for name, path in found.items() if not path.is_file()]
    if not gone:
        return str(error)
    return (
        f"{source}: {len(gone)} of {len(found) - 1} segments are missing or damaged there, the first "
        f"files/md5/{gone[0][:2]}/{gone[0][2:]}; the others are kept; delete it there if it is damaged, then in a"
        " clone that has it: graded ledger publish --push"
    )


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
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
        raise ServiceError(f"dvc {' '.join(arguments)} failed: {said[-1]}")
    return done.stdout
