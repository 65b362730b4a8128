"""A run from its last checkpoint to its end: what goes around the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graded.console import Progress, say
from graded.errors import ServiceError
from graded.retrieval.training.checkpoint import Checkpoints
from graded.retrieval.training.curves import Curves
from graded.retrieval.training.trainer import Event, Trainer

#: How torch, oneDNN and the C++ library word that there is no more memory.
SCARCE = ("allocate memory", "could not create a primitive", "could not create a memory", "bad_alloc", "new thread")


def train(trainer: Trainer, checkpoints: Checkpoints, curves: Path, speed: Path) -> None:
    """Train to the end of the plan, from the last checkpoint where there is one; ``curves`` and
    ``speed`` are the DVCLive folders of :class:`Curves`.

    Raises:
        ServiceError: the loss is no finite number, memory ran out or the disk is full; the last checkpoint is whole and
            the same command goes on from it.
    """
    facts = _resume(trainer, checkpoints)
    start = int(facts.get("step", 0))
    plan, first = trainer.plan, trainer.group.first
    drawn = Curves(curves, speed, plan.total, facts.get("history", [])) if first else None
    if first and start:
        say(f"train: goes on after step {start:,} of {plan.total:,}, from {checkpoints.folder}")
    with Progress("train", plan.shown(plan.total) - plan.shown(start), "pairs") as progress:

        def done(event: Event) -> None:
            if drawn is None:
                return
            drawn.add(event.step, event.loss, event.learning_rate, event.rows)
            progress.update(event.rows, f"step {event.step:,}/{event.total:,}, loss {event.loss:.4f}")
            if checkpoints.due and event.step < event.total:
                checkpoints.save(event.step, trainer.state(), {"history": drawn.history})

        try:
            trainer.run(start, done)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            raise memory(error, trainer.chunk) from None
    if drawn is not None:
        drawn.end(steps=plan.total, pairs=plan.shown(plan.total))


def _resume(trainer: Trainer, checkpoints: Checkpoints) -> dict[str, Any]:
    """Fill every process's state from the first one's newest checkpoint; {} where there is none."""
    group, state = trainer.group, trainer.state()
    facts: dict[str, Any] = group.tell(checkpoints.load(state) if group.first else None) or {}
    if facts:
        with torch.no_grad():
            group.copy(*(state[name] for name in sorted(state)))
        trainer.optimizer.resume(int(facts["step"]))
    return facts


def memory(error: BaseException, chunk: int) -> BaseException:
    """Return the one line for memory that ran out; any other error as it is."""
    text = str(error)
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not any(words in text for words in SCARCE):
        return error
    smaller = f"below {chunk:,}" if chunk else "such as 4096"
    return ServiceError(
        f"train: out of memory ({text.splitlines()[0][:120] if text else 'no more to be had'}); set train.chunk to a "
        f"number of tokens {smaller} (the result is that of the whole batch), or train.gradient_checkpointing"
    )
