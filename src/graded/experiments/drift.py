"""Stages that dvc.lock no longer fits, found from git alone: the data need not be here.

Experiments run up to evaluate, so on the branch that `dvc exp branch` makes of one the report is still that of the
commit it started from. DVC would run it, but nothing was changed and left unrun: such a stage is told, and is no drift.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graded import params
from graded.errors import ServiceError
from graded.experiments import git
from graded.formats import yaml12

PIPELINE = Path("dvc.yaml")
RUNNING = re.compile(r"Running stage '([^']+)'")
#: What DVC says, and ends with, where a stage would run and its data are not here.
STOPPED = re.compile(r"failed to reproduce '([^']+)': .*No such file or directory")


def drift() -> tuple[list[str], list[str]]:
    """Return the stages whose params, sources or command are not those of dvc.lock, and those that are merely behind.

    Raises:
        ServiceError: DVC cannot read the pipeline.
    """
    done = subprocess.run(["dvc", "repro", "--allow-missing", "--dry"], capture_output=True, text=True, check=False)
    stages = list(dict.fromkeys([*RUNNING.findall(done.stdout), *STOPPED.findall(done.stderr)]))
    if done.returncode and not stages:
        raise _refused("repro", done.stderr)
    if not stages:
        return [], []
    pipeline = yaml12.read(PIPELINE, "review reads it")
    late = [name for name in stages if behind(name, pipeline)]
    return [name for name in stages if name not in late], late


def behind(stage: str, pipeline: Mapping[str, Any]) -> bool:
    """Return whether a stage only waits to be run again on what the stages before it made.

    It is none that `dvc repro evaluate` runs, keeps nothing in git, and nothing of its own differs from dvc.lock:
    command, files that no stage makes, params that none of those stages reads.
    """
    bodies = {name: one.get("do", one) for name, one in pipeline["stages"].items()}
    needed, _ = git.needs(pipeline, "evaluate")
    own = bodies.get(stage, {})
    if not needed or stage.partition("@")[0] in needed or not own or _in_git(own):
        return False
    read = {str(key) for name in needed for key in bodies[name].get("params", [])}
    made = [out for body in bodies.values() for out in git.outs(body)]
    for change in json.loads(dvc("status", "--json", stage) or "{}").get(stage, []):
        if isinstance(change, str):
            return False  # "changed command"
        for dep, what in change.get("changed deps", {}).items():
            if dep == str(params.PARAMS) and isinstance(what, Mapping):
                known = all(_covered(key, read, ".") for key in what)
            else:
                known = _covered(dep, made, "/")
            if not known:
                return False
    return True


def _in_git(body: Mapping[str, Any]) -> bool:
    listed = [*body.get("outs", []), *body.get("metrics", [])]
    return any(one.get("cache") is False for out in listed if isinstance(out, Mapping) for one in out.values())


def _covered(name: str, wholes: Sequence[str] | set[str], joint: str) -> bool:
    """Return whether ``name`` is one of ``wholes`` or in one: `pair.size` in `pair`, `data/run/base` in `data/run`."""
    return any(name == one or name.startswith(one.rstrip(joint) + joint) for one in wholes if one)


def dvc(*arguments: str) -> str:
    """Return what a DVC command prints.

    Raises:
        ServiceError: DVC says no; its first line is quoted.
    """
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise _refused(arguments[0], done.stderr)
    return done.stdout


def _refused(command: str, said: str) -> ServiceError:
    lines = said.strip().splitlines() or ["no word of why"]
    return ServiceError(f"dvc {command}: {lines[0].removeprefix('ERROR: ')}")
