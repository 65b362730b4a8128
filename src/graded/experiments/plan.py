"""What a sweep still has to run: an experiment that would give what an earlier one gave is not run again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from graded import params
from graded.errors import ParamError
from graded.experiments import git
from graded.experiments.grid import Point, overrides
from graded.experiments.queue import Queue, Task


class Plan(NamedTuple):
    """The experiments of a sweep by what is to be done.

    ``resolved`` maps each name to the params.yaml it runs with; ``done`` to the experiment that ran it, under this name
    or another; ``queued`` to its entry in the queue; ``stale`` are entries of these names that would run something
    else, or failed.
    """

    resolved: dict[str, dict[str, Any]]
    done: dict[str, git.Experiment]
    queued: dict[str, Task]
    todo: list[Point]
    stale: list[Task]


def resolve(points: Sequence[Point], check: Callable[[Path], None] | None = None) -> dict[str, dict[str, Any]]:
    """Return name -> the content of params.yaml that each experiment would run with.

    Args:
        points: experiments.
        check: called with each resolved file; raises where a stage would refuse it.

    Raises:
        ParamError: values that `-S` cannot set, or that a stage refuses.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    have = params.load()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        for point in points:
            shutil.copyfile(params.PARAMS, path)
            try:
                apply_overrides(path, overrides(point.values, have))
            except DvcException as error:
                raise ParamError(f"{point.name}: {point.values} cannot be set ({error})") from None
            if check:
                check(path)
            found[point.name] = yaml.load(
                path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            )
    return found


def plan(points: Sequence[Point], queue: Queue, check: Callable[[Path], None] | None = None) -> Plan:
    """Return what is there, what waits in the queue and what is to be queued."""
    resolved = resolve(points, check)
    tree = git.working_tree()
    wanted = {name: git.fingerprint(tree, values) for name, values in resolved.items()}
    there: dict[str, git.Experiment] = {}
    for one in git.experiments():
        if "dvc.yaml" in git.files(one.commit) and "params.yaml" in git.files(one.commit):
            there[git.fingerprint(one.commit)] = one
    done = {name: there[mark] for name, mark in wanted.items() if mark in there}
    queued: dict[str, Task] = {}
    stale: list[Task] = []
    for task in queue.tasks():
        if task.name not in wanted or task.name in done:
            continue
        if task.state in ("Queued", "Running") and git.fingerprint(task.revision) == wanted[task.name]:
            queued[task.name] = task
        elif task.state != "Running":
            stale.append(task)
        else:
            raise ParamError(
                f"{task.name} is running with other params or source files; wait for it,"
                f" or 'dvc queue kill {task.name}'"
            )
    todo = [point for point in points if point.name not in done and point.name not in queued]
    return Plan(resolved, done, queued, todo, stale)
