"""The checks of `graded doctor`: each looks at one thing and says what it found, on one line.

A check changes nothing and shows no value of a variable that could be a secret. It yields findings, or raises a
GradedError, which is a finding too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from graded import params, remote
from graded.cli import here
from graded.cli.check import legal
from graded.errors import GradedError, MissingError, many
from graded.repository import git_says

State = Literal["ok", "warn", "fail"]
#: GB on the disk below which a run of the shipped sample is at risk (fail), and any larger one (warn).
LITTLE, SCARCE = 1.0, 10.0


#: Versions of Python that the default tests passed on.
TRIED = ((3, 11), (3, 12), (3, 13))


class Finding(NamedTuple):
    """What one check found: ``fail`` stops work, ``warn`` stops some of it; ``command`` is what to type next."""

    state: State
    name: str
    text: str
    command: str = ""


def python(root: Path) -> Iterator[Finding]:
    """The interpreter, and whether the installed packages are the locked ones."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] not in TRIED:
        tried = ", ".join(f"{major}.{minor}" for major, minor in TRIED)
        yield Finding("warn", "python", f"{version}; the tests run on {tried}", "make repro PYTHON=python3.11")
    lock = root / "requirements.lock"
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.is_file() else []
    locked = dict(line.split("#")[0].split(";")[0].strip().split("==") for line in lines if "==" in line.split("#")[0])
    other = [name for name, wanted in locked.items() if _installed(name).partition("+")[0] != wanted]
    if other:
        named = ", ".join(f"{name} {_installed(name) or 'not installed'}" for name in other[:2])
        text = f"{version}; {len(other)} of {len(locked)} packages are not the locked ones ({named})"
        yield Finding("warn", "python", text, "make repro")
    else:
        more = f"{many(len(locked), 'package')} as locked" if locked else "no requirements.lock here to compare with"
        yield Finding("ok", "python", f"{version}, {more}")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def git(root: Path) -> Iterator[Finding]:
    """git itself, a repository, an identity to commit with, and params that a failed experiment left behind."""
    if shutil.which("git") is None:
        yield Finding("fail", "git", "is not on the PATH", "install git (git-scm.com)")
        return
    commit = git_says(root, "rev-parse", "--short", "HEAD")
    if commit is None:
        yield Finding("fail", "git", "this folder is no git repository with a commit", "git clone URL; cd graded")
        return
    if not (git_says(root, "config", "user.email") or os.environ.get("GIT_AUTHOR_EMAIL")):
        text = "no user.email is set, so no commit and no experiment can be made"
        yield Finding("fail", "git", text, "git config --global user.email you@example.org")
    changed = (git_says(root, "diff", "--name-only", "HEAD", "--", "params.yaml", ".dvc/config") or "").split()
    if "params.yaml" in changed and (root / "params.yaml").is_file():
        text = "params.yaml is changed and not committed, as after a failed experiment"
        yield Finding("warn", "git", text, "git diff params.yaml")
    if ".dvc/config" in changed:
        yield Finding("warn", "git", ".dvc/config is not committed: nobody else has it", "git commit .dvc/config")
    if not changed:
        yield Finding("ok", "git", f"at {commit}; params.yaml and .dvc/config are committed")


def elsewhere(root: Path) -> Iterator[Finding]:
    """That this folder is something else, a subfolder of a clone or a clone without its params.yaml."""
    found = here.away(root)
    if found:
        yield Finding("fail", "repository", found.text, found.command)


def settings(root: Path) -> Iterator[Finding]:
    """Every section of params.yaml, as its stage reads it, and what must fit."""
    path = root / "params.yaml"
    try:
        legal(path)
    except MissingError:
        absent = here.source(params.load(path), root)
        if absent is None:
            raise
        yield Finding("fail", "params.yaml", absent.text, absent.command)
        return
    codes = params.languages(path)
    yield Finding("ok", "params.yaml", f"legal; {', '.join(codes)}; tau {params.shared('tau', path)}")


def lock(root: Path) -> Iterator[Finding]:
    """dvc.lock: there, and not what a killed DVC left half-written."""
    path = root / "dvc.lock"
    if not path.is_file():
        yield Finding("warn", "dvc.lock", "is not there: nothing has been run here", "dvc repro")
        return
    wrong = here.broken(root)
    if wrong:
        yield Finding("fail", "dvc.lock", f"{wrong.text}; finished stages come back from the run cache", wrong.command)
    else:
        yield Finding("ok", "dvc.lock", f"{many(len(here.locked(root)), 'stage', 'have')} been run")


def rwlock(root: Path) -> Iterator[Finding]:
    """.dvc/tmp/rwlock: whole, and whether a DVC command is running."""
    path = root / ".dvc/tmp/rwlock"
    if not path.is_file():
        yield Finding("ok", "DVC", "no command of it is running")
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        infos = [one for one in held.get("write", {}).values() if one]
        infos += [one for some in held.get("read", {}).values() for one in some]
        running = sorted({int(one["pid"]) for one in infos if psutil.pid_exists(int(one["pid"]))})
    except (ValueError, KeyError, TypeError, AttributeError):
        text = ".dvc/tmp/rwlock is broken: DVC was killed as it wrote; delete it when no DVC command runs"
        yield Finding("fail", "DVC", text, "rm .dvc/tmp/rwlock")
        return
    if running:
        yield Finding("warn", "DVC", f"a command is running (PID {', '.join(map(str, running))}); wait for its end")
    else:
        yield Finding("ok", "DVC", "no command of it is running")


def team(root: Path, ask: bool) -> Iterator[Finding]:
    """The team's remote: set, and answering."""
    found = remote.named(root)
    if found is None:
        text = "no team's remote, so nothing can be shared"
        yield Finding("warn", "remote", text, "graded remote s3://bucket/prefix")
        return
    where = f"{found.name}: {remote.bare(found.url)}"
    if not ask:
        yield Finding("ok", "remote", f"{where}, not asked")
        return
    from graded.remote_check import check

    yield Finding("ok", "remote", f"{where} {check(root)}")


def gpu(root: Path) -> Iterator[Finding]:
    """GPUs, whether PyTorch's build can use them, and what the processor is good for without."""
    cores = os.cpu_count() or 1
    build = _installed("torch")
    if not build:
        yield Finding("fail", "torch", "PyTorch is not installed", "make repro")
        return
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    found: list[str] = []
    if shutil.which(asked[0]):
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
        found = done.stdout.strip().splitlines() if done.returncode == 0 else []
    if found and build.endswith("+cpu"):
        text = f"{len(found)} x {found[0]}, but PyTorch {build} is a CPU build"
        yield Finding("warn", "gpu", text, "pip install --force-reinstall torch (see pytorch.org for your CUDA)")
    elif found:
        yield Finding("ok", "gpu", f"{len(found)} x {found[0]}")
    else:
        half = _has("avx512_bf16", "amx_bf16")
        text = f"none; {cores} cores, " + ("with bfloat16" if half else "without bfloat16: keep precision fp32")
        yield Finding("ok", "gpu", f"{text}; enough for the sample")


def _has(*flags: str) -> bool:
    try:
        return any(flag in Path("/proc/cpuinfo").read_text(encoding="utf-8").split() for flag in flags)
    except OSError:
        return False


def disk(root: Path) -> Iterator[Finding]:
    """Room and the right to write, where the repository and DVC's cache are."""
    for name, path in {"repository": root, "DVC's cache": remote.cache(root)}.items():
        while not path.exists():
            path = path.parent
        if not os.access(path, os.W_OK):
            yield Finding("fail", "disk", f"{path.resolve()} may not be written", f"ls -ld {path}")
            return
        free = shutil.disk_usage(path).free / 1e9
        if free < SCARCE:
            state: State = "fail" if free < LITTLE else "warn"
            yield Finding(state, "disk", f"{free:.1f} GB free for the {name}", "dvc gc --workspace --dry")
            return
    yield Finding("ok", "disk", f"{free:,.0f} GB free")


def guarded(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Return what ``look`` found; an error that is meant for the user is a failure of ``name``."""
    try:
        return list(look())
    except GradedError as error:
        return [Finding("fail", name, str(error))]
    except OSError as error:
        return [Finding("fail", name, f"{error.filename or type(error).__name__}: {error.strerror or error}")]
