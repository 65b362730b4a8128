"""What is done about an experiment that counts as running while no worker runs it."""

from __future__ import annotations

import pytest

from graded.experiments import queue
from graded.experiments.queue import Queue, Task


class Idle(Queue):
    """A queue whose workers run nothing; ``lets_go`` is what DVC says when the entry is to be taken out."""

    def __init__(self, lets_go: bool) -> None:
        self.lets_go = lets_go

    def workers(self) -> tuple[int, int]:
        return 1, 0

    def forget(self, task: Task) -> bool:
        return self.lets_go


@pytest.mark.parametrize("lets_go", [True, False])
def test_it_is_queued_again_unless_it_has_ended_meanwhile(lets_go: bool) -> None:
    watch, told, again = queue._Watch(), list[str](), list[str]()
    for _ in range(2):  # the workers are asked twice before anything is believed
        assert not again
        running = [Task("tau2", "Running", "abc")]
        queue._tend(Idle(lets_go), watch, running, lambda name, state, _: told.append(f"{name} {state}"), again.append)
    assert again == (["tau2"] if lets_go else [])
    assert told == (["tau2 Lost"] if lets_go else [])


class Crew(Queue):
    """A queue with workers of these numbers alive, of which one answers DVC."""

    def __init__(self, alive: set[int]) -> None:
        self.alive, self.spawned = alive, list[int]()
        self._repo = self
        self.experiments = self.celery_queue = self

    def _alive(self) -> set[int]:
        return self.alive

    def worker_status(self) -> dict[str, list[str]]:
        return {"dvc-exp-1": []}

    def _spawn_worker(self, number: int) -> None:
        self.spawned.append(number)


def test_a_silent_worker_is_busy_and_is_not_started_twice() -> None:
    crew = Crew({1, 2})
    assert crew.workers() == (2, 1)
    crew.start(3)
    assert crew.spawned == [3]


def test_one_worker_that_ended_early_is_replaced_while_tasks_wait() -> None:
    waiting, running = Task("a", "Queued", "1"), Task("b", "Running", "2")
    for tasks, spawned in (([waiting, running], [2]), ([running], [])):
        crew = Crew({1})
        queue._staff(crew, queue._Watch(), 2, tasks, 0)
        assert crew.spawned == spawned
