"""What a sweep still has to run: an experiment that would give what an earlier one gave is not run again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from graded import params
from graded.errors import ParamError
from graded.experiments import git
from graded.experiments.grid import Point, overrides
from graded.experiments.queue import Queue, Task
from graded.formats import yaml12


class Plan(NamedTuple):
    """The experiments of a sweep by what is to be done.

    ``resolved`` maps each point's name to the params.yaml it runs with; ``done`` to the experiment that ran it, under
    this name or another; ``queued`` to its entry in the queue. ``todo`` maps it to the point to queue, under a name
    that is free. ``stale`` are entries of these names that would run something else, or failed.
    """

    resolved: dict[str, dict[str, Any]]
    done: dict[str, git.Experiment]
    queued: dict[str, Task]
    todo: dict[str, Point]
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
            try:
                if check:
                    check(path)
            except ParamError as error:
                raise ParamError(f"{point.name}: {str(error).replace(str(path), 'params.yaml')}") from None
            found[point.name] = yaml12.loads(path.read_text(encoding="utf-8"))
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
    names = {mark: name for name, mark in wanted.items()}
    head = git.git("rev-parse", "HEAD")
    taken = {one.name for one in git.experiments() if one.baseline == head}
    queued: dict[str, Task] = {}
    stale: list[Task] = []
    for task in queue.tasks():
        if task.state in ("Queued", "Running"):
            point = names.get(git.fingerprint(task.revision))
            if point is not None and point not in done:
                queued[point] = task
            elif task.state == "Queued" and task.name in wanted:
                stale.append(task)
            else:
                taken.add(task.name)
        elif task.state == "Failed" and task.name in wanted:
            stale.append(task)
    todo = {
        point.name: point._replace(name=free(point.name, taken))
        for point in points
        if point.name not in done and point.name not in queued
    }
    return Plan(resolved, done, queued, todo, stale)


def free(name: str, taken: set[str]) -> str:
    """Return ``name``, or ``name-2`` and so on where an experiment of other params has it; the result is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found
