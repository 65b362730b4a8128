"""DVC's experiment queue, driven to its end.

Workers of DVC's queue can stop before it is empty (treeverse/dvc #10398, #10562), so they are started again until
every task is done. Workers are processes of their own: an interrupt here lets the experiments that run finish, and the
queue keeps the others.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Collection
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from graded.errors import ParamError, ServiceError, flat
from graded.experiments import outs
from graded.experiments.signals import uninterrupted

#: Seconds between two looks at the queue.
POLL = 2.0
#: Seconds that a worker gets to report for duty.
GRACE = 15.0
#: Starts of workers without any task getting done, before the queue counts as stuck.
PATIENCE = 5


class Task(NamedTuple):
    """One entry of the queue; state is Queued, Running, Success or Failed."""

    name: str
    state: str
    revision: str


class Queue:
    """The queue of the repository in the current folder."""

    def __init__(self) -> None:
        from dvc.exceptions import DvcException

        self._repo = outs.repository()
        self._error = DvcException

    def add(self, name: str, overrides: list[str], message: str) -> None:
        """Queue one experiment, up to stage evaluate.

        Raises:
            ParamError: DVC refused the values.
        """
        with uninterrupted():
            try:
                self._repo.experiments.run(
                    targets=["evaluate"], queue=True, name=name, params=overrides, message=message, copy_paths=None
                )
            except self._error as error:
                raise ParamError(f"dvc exp run --queue -n {name}: {flat(error, 400)}") from None

    def tasks(self) -> list[Task]:
        """Return all entries, finished ones too."""
        try:
            entries = self._repo.experiments.celery_queue.status()
        except FileNotFoundError:  # a worker moved an entry while it was read
            return self.tasks()
        return [Task(one["name"] or one["rev"][:7], one["status"], one["rev"]) for one in entries]

    def remove(self, tasks: Collection[Task]) -> None:
        """Take entries that do not run out of the queue."""
        if tasks:
            self._repo.experiments.celery_queue.remove([task.revision for task in tasks])

    def start(self, jobs: int) -> None:
        """Start workers until there are ``jobs``; they find the commands of this Python's environment first."""
        folder = str(Path(sys.executable).parent)
        if folder not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
        alive = self._alive()
        for number in range(1, jobs + 1):
            if number not in alive:
                self._repo.experiments.celery_queue._spawn_worker(number)

    def stop(self) -> None:
        """Let the workers end after the experiment that each is running."""
        self._repo.experiments.celery_queue.shutdown()

    def workers(self) -> tuple[int, int]:
        """Return how many workers are alive, and how many of them may be running an experiment.

        DVC asks the workers over its queue and waits a second; on a busy machine a worker that works is silent. So
        their processes are counted, and one that does not answer counts as busy.
        """
        alive = len(self._alive())
        status = self._repo.experiments.celery_queue.worker_status() if alive else {}
        return alive, sum(bool(tasks) for tasks in status.values()) + max(alive - len(status), 0)

    def _alive(self) -> set[int]:
        """Return the numbers of this repository's workers whose process is there."""
        import psutil

        folder = self._repo.experiments.celery_queue.wdir
        name = re.compile(rf"dvc-exp-{sha256(folder.encode()).hexdigest()[:6]}-(\d+)@localhost")
        found = set()
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            if "queue-worker" in words and process.info["status"] != psutil.STATUS_ZOMBIE:
                found |= {int(match[1]) for word in words if (match := name.fullmatch(word))}
        return found

    def forget(self, task: Task) -> bool:
        """Take out an entry whose worker died; DVC itself shows it as running for ever.

        Return False where DVC does not let go of it: it has ended meanwhile, and the next look says how.
        """
        with contextlib.suppress(self._error):
            self._repo.experiments.celery_queue.kill([task.revision], force=True)
        try:
            self.remove([task])
        except self._error:
            return False
        return True

    def logs(self, task: Task, lines: int = 3) -> list[str]:
        """Return the last lines that an experiment printed."""
        process = self._repo.experiments.celery_queue.proc.get(task.revision)
        if process is None:
            return []
        return Path(process.stdout).read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


def drive(
    queue: Queue,
    names: Collection[str],
    jobs: int,
    tell: Callable[[str, str, float], None],
    again: Callable[[str], None],
) -> dict[str, str]:
    """Run the queue until every named task is done; return name -> Success or Failed.

    Args:
        queue: holds the tasks.
        names: of the tasks to wait for.
        jobs: experiments at a time.
        tell: told (name, state, seconds since it was seen to start) of each task that starts or ends; 0 seconds where
            it ran before the first look.
        again: queues the named task again, whose worker died.

    Raises:
        ServiceError: workers were started several times and nothing got done.
        KeyboardInterrupt: after the workers were told to end.
    """
    watch = _Watch()
    state: dict[str, str] = {}
    started: dict[str, float] = {}
    looked = False
    try:
        while True:
            now = time.monotonic()
            tasks = [task for task in queue.tasks() if task.name in names]
            for task in tasks:
                if state.get(task.name) != task.state:
                    state[task.name] = task.state
                    if task.state == "Running" and looked:
                        started[task.name] = now
                    if task.state != "Queued":
                        tell(task.name, task.state, now - started.get(task.name, now))
            looked = True
            done = [name for name in names if state.get(name) in ("Success", "Failed")]
            if len(done) == len(names):
                return {name: state[name] for name in names}
            if watch.due(now):
                _tend(queue, watch, [task for task in tasks if task.state == "Running"], tell, again)
                _staff(queue, watch, min(jobs, len(names) - len(done)), tasks, len(done))
            time.sleep(POLL)
    except KeyboardInterrupt:
        queue.stop()
        raise


def _tend(
    queue: Queue,
    watch: _Watch,
    running: list[Task],
    tell: Callable[[str, str, float], None],
    again: Callable[[str], None],
) -> None:
    """Queue again what counts as running while nobody runs it."""
    if watch.lost(len(running), queue.workers()[1]):
        for task in running:
            if queue.forget(task):
                tell(task.name, "Lost", 0.0)
                again(task.name)


def _staff(queue: Queue, watch: _Watch, wanted: int, tasks: list[Task], done: int) -> None:
    """Start workers where fewer than ``wanted`` are alive."""
    alive = queue.workers()[0]
    if not alive:
        watch.restart(done)
    if not alive or (alive < wanted and any(task.state == "Queued" for task in tasks)):
        queue.start(wanted)


class _Watch:
    """When to ask for the workers, and what their number says."""

    def __init__(self) -> None:
        self.asked = -GRACE
        self.idle = self.starts = 0
        self.finished = -1

    def due(self, now: float) -> bool:
        """Workers get GRACE seconds to report for duty, and are asked that often."""
        if now - self.asked < GRACE:
            return False
        self.asked = now
        return True

    def lost(self, running: int, busy: int) -> bool:
        """Return whether tasks count as running and, for the second time in a row, nobody runs one."""
        self.idle = self.idle + 1 if running and not busy else 0
        if self.idle < 2:
            return False
        self.idle = 0
        return True

    def restart(self, done: int) -> None:
        """Count a start of workers.

        Raises:
            ServiceError: the last few got nothing done.
        """
        self.starts = 1 if done > self.finished else self.starts + 1
        self.finished = done
        if self.starts > PATIENCE:
            raise ServiceError(
                f"queue: workers were started {PATIENCE} times and did nothing; see 'dvc queue status',"
                " then run the same command again"
            )
