"""A clone of this repository as it stands in the work tree, for tests that run DVC for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from graded.cli.profile import overlay
from tests.closure import ROOT

#: Prefix that takes the network away, loopback excepted, where this user may make namespaces.
OFFLINE = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"]


def offline() -> list[str]:
    """Return the prefix that runs a command without network, or an empty list where namespaces are not allowed."""
    if shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*OFFLINE, "true"], capture_output=True, check=False)
    return OFFLINE if tried.returncode == 0 else []


def clone(target: Path) -> Path:
    """Commit the work tree's files (tracked, and new ones that git does not ignore) as one commit in ``target``."""
    target.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    git(target, "init", "--quiet", "--initial-branch=main")
    commit(target, "clone")
    return target


def commit(target: Path, message: str) -> None:
    """Commit everything in the clone."""
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--allow-empty", "--message", message)


def git(target: Path, *arguments: str) -> str:
    """Run git in the clone with an identity of its own; return what it printed."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=target, capture_output=True, text=True, check=True).stdout


def lay(path: Path, values: Mapping[str, object]) -> None:
    """Lay ``values`` over a YAML file, its comments kept."""
    path.write_text(overlay(path.read_text(encoding="utf-8"), yaml.safe_dump(dict(values))), encoding="utf-8")


def ran(output: str) -> list[str]:
    """Return the stages that DVC says it ran, in order."""
    return re.findall(r"Running stage '([^']+)'", output)


def environment(target: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command in the clone: its own sources, no key, no budget."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GRADED_", "OPENAI_"))}
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"
    identity = {
        f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return kept | identity | {"PATH": path, "PYTHONPATH": str(target / "src"), "PYTHONSAFEPATH": "1"} | more


def run(
    target: Path, *command: str, prefix: list[str] | None = None, timeout: float = 500, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone and return it, whatever its exit code; stdout and stderr as text."""
    return subprocess.run(
        [*(prefix or []), *command],
        cwd=target,
        env=environment(target, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
