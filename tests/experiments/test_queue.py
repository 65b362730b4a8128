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
