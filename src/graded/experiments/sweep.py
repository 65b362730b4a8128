"""A list of experiments brought to its end over DVC's queue; `graded sweep` and `graded calibrate` run this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graded import params
from graded.console import clock, say
from graded.errors import MissingError, ServiceError, many
from graded.experiments import durations, git, outs
from graded.experiments.grid import Point, overrides
from graded.experiments.plan import Plan, plan
from graded.experiments.queue import Queue, drive
from graded.experiments.signals import terminable
from graded.formats import yaml12

PIPELINE, LOCK = Path("dvc.yaml"), Path("dvc.lock")


def announce(found: Plan, total: int, jobs: int) -> None:
    """Say how many experiments there are to run and how long they will take."""
    renamed = sum(name != one.name for name, one in found.done.items())
    there = f"{len(found.done)} there already" + (f" ({renamed} under another name)" if renamed else "")
    say(f"{many(total, 'experiment')}: {there}, {len(found.queued)} in the queue, {len(found.todo)} to queue")
    waiting = [found.resolved[name] for name in (*found.queued, *found.todo)]
    guess = durations.estimate(waiting, jobs)
    if not waiting:
        return
    if guess is None:
        say("hours: unknown, no earlier run of this encoder is recorded here; told once the first has ended")
        if trained := durations.training(waiting, jobs):
            by = f"at the {trained[1]:,.0f} pairs a second of the last training here"
            say(f"  training alone: about {trained[0] / 3600:,.1f} hours ({clock(trained[0])}), {by}")
        return
    seconds, runs = guess
    far = durations.beyond(waiting)
    guessed = f"; a guess, the largest of them had {far:,} pairs" if far else ""
    hours = f"hours: about {seconds / 3600:,.1f} ({clock(seconds)}) with {jobs} at a time"
    say(f"{hours}, from {many(runs, 'recorded run')}{guessed}")


def run(
    name: str,
    points: Sequence[Point],
    *,
    jobs: int,
    dry: bool = False,
    check: Callable[[Path], None] | None = None,
) -> dict[str, str]:
    """Run what is missing and return point name -> name of the experiment that has its result.

    An experiment that gave the same is not run again. A second call, also after Ctrl-C or a crash, goes on.

    Args:
        name: of the sweep; it stands in each commit's message.
        points: the experiments.
        jobs: experiments at a time.
        dry: say what would run, and stop.
        check: refuses a params.yaml that a stage would refuse.

    Raises:
        ServiceError: experiments failed; the first is named with its last lines.
    """
    queue = Queue()
    found = plan(points, queue, check)
    announce(found, len(points), jobs)
    names = {point: one.name for point, one in found.done.items()}
    if dry:
        for point in found.todo.values():
            say(f"  {point.name}")
        return names
    if not found.queued and not found.todo:
        return names
    refuse_absent_plots()
    queue.remove(found.stale)
    have = params.load()
    values = {point.name: point.values for point in points}

    def add(task: str) -> None:
        queue.add(task, overrides(values[running[task]], have), f"graded sweep {name}: {task}")

    running = {task.name: point for point, task in found.queued.items()}
    running |= {point.name: original for original, point in found.todo.items()}
    for number, point in enumerate(found.todo.values(), 1):
        say(f"queue {number}/{len(found.todo)}: {point.name}")
        add(point.name)
    finish(queue, {task: found.resolved[point] for task, point in running.items()}, jobs, add)
    return names | {point: task for task, point in running.items()}


def refuse_absent_plots() -> None:
    """Return where DVC can end an experiment: it opens the folders under `plots:` in dvc.yaml as dvc.lock has them.

    Raises:
        MissingError: one is in dvc.lock but not in the cache; every experiment would fail after its last stage.
    """
    for path in plots():
        for stage, body in (yaml12.loads(LOCK.read_text(encoding="utf-8")).get("stages") or {}).items():
            for out in body.get("outs", []):
                held = path == out["path"] or path.startswith(f"{out['path']}/")
                if held and str(out.get("md5", "")).endswith(".dir") and not outs.cached(out["md5"]):
                    raise MissingError(
                        f"{out['path']} as dvc.lock has it is not in this clone's cache, and without it DVC fails every"
                        f" experiment at its end; 'dvc repro {stage}' makes it, 'dvc pull {out['path']}' fetches it"
                    )


def plots() -> list[str]:
    """Return the paths under `plots:` at the top of dvc.yaml, none where there is no dvc.lock."""
    if not LOCK.is_file() or not PIPELINE.is_file():
        return []
    listed = yaml12.loads(PIPELINE.read_text(encoding="utf-8")).get("plots") or []
    return [str(next(iter(one)) if isinstance(one, Mapping) else one) for one in listed]


def finish(queue: Queue, tasks: dict[str, dict[str, Any]], jobs: int, again: Callable[[str], None]) -> None:
    """Drive the queue until all ``tasks`` (name -> params) are done, and record how long each took.

    ``again`` queues a task anew whose worker died.

    Raises:
        ServiceError: experiments failed; the first is named with its last lines.
    """
    left = dict(tasks)

    def tell(task: str, state: str, seconds: float) -> None:
        if state == "Running":
            say(f"start {task}")
            return
        if state == "Lost":
            say(f"{task}: its worker died; it is queued again")
            return
        left.pop(task, None)
        if state == "Success" and seconds > 0:
            durations.record(task, seconds, tasks[task])
        guess = durations.estimate(list(left.values()), jobs)
        rest = f"; about {clock(guess[0])} left" if left and guess else ""
        ended = f"{len(tasks) - len(left)}/{len(tasks)}"
        took = f", {clock(seconds)}" if seconds else ""
        say(f"{'done' if state == 'Success' else 'FAILED'} {ended}: {task}{took}{rest}")

    try:
        with terminable():
            states = drive(queue, list(tasks), jobs, tell, again)
    except KeyboardInterrupt:
        say("interrupted: experiments that run will finish, the queue keeps the others; the same command goes on")
        raise
    there = {one.name for one in git.experiments()}
    failed = [task for task, state in states.items() if state == "Failed" or task not in there]
    if failed:
        first = next(task for task in queue.tasks() if task.name == failed[0])
        said = " | ".join(line for line in queue.logs(first, 8) if line.strip()) or "it left no log"
        raise ServiceError(
            f"{len(failed)} of {len(tasks)} experiments failed, the first {failed[0]}: ... {said[-400:]};"
            f" all of it: dvc queue logs {failed[0]}; the same command runs what is missing"
        )
