"""A run from its last checkpoint to its end: what goes around the steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from graded.console import Progress, say
from graded.errors import ServiceError
from graded.retrieval.peers import PeerError
from graded.retrieval.training.checkpoint import Checkpoints
from graded.retrieval.training.curves import Curves
from graded.retrieval.training.negatives import Counts
from graded.retrieval.training.trainer import Event, Trainer

#: How torch, oneDNN and the C++ library word that there is no more memory.
SCARCE = ("allocate memory", "could not create a primitive", "could not create a memory", "bad_alloc", "new thread")
#: How gloo and NCCL word that a process of the group is no longer there.
GONE = ("Connection closed by peer", "Connection reset by peer", "remote process exited")


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
    counts = Counts(*facts.get("negatives", []))
    drawn = Curves(curves, speed, plan.total, facts.get("history", [])) if first else None
    if first and start:
        say(f"train: goes on after step {start:,} of {plan.total:,}, from {checkpoints.folder}")
    with Progress("train", trainer.shown(plan.total) - trainer.shown(start), "pairs") as progress:

        def done(event: Event) -> None:
            nonlocal counts
            if drawn is None:
                return
            counts = counts.plus(event.counts)
            drawn.add(event.step, event.loss, event.learning_rate, event.pairs)
            progress.update(event.pairs, f"step {event.step:,}/{event.total:,}, loss {event.loss:.4f}")
            if checkpoints.due and event.step < event.total:
                checkpoints.save(event.step, trainer.state(), {"history": drawn.history, "negatives": counts})

        with scarce(smaller(trainer.chunk)):
            trainer.run(start, done)
    if drawn is not None:
        drawn.end(steps=plan.total, rows=plan.shown(plan.total), pairs=trainer.shown(plan.total), **told(counts))


def told(counts: Counts) -> dict[str, int]:
    """Return the explicit negatives of a whole run as they stand in data/train/metrics.json, and say what was short."""
    if not counts.asked:
        return {}
    random = counts.drawn - counts.mined - counts.below_tau
    say(
        f"train: {counts.drawn:,} explicit negatives of {counts.asked:,} asked for: {counts.below_tau:,} below tau, "
        f"{counts.mined:,} mined (wanted {counts.wanted:,}), {random:,} random"
    )
    return {
        "negatives_asked": counts.asked, "negatives_below_tau": counts.below_tau, "negatives_mined": counts.mined,
        "negatives_mined_wanted": counts.wanted, "negatives_random": random,
    }  # fmt: skip


def _resume(trainer: Trainer, checkpoints: Checkpoints) -> dict[str, Any]:
    """Fill every process's state from the first one's newest checkpoint; {} where there is none."""
    group, state = trainer.group, trainer.state()
    facts: dict[str, Any] = group.tell(checkpoints.load(state) if group.first else None) or {}
    if facts:
        with torch.no_grad():
            group.copy(*(state[name] for name in sorted(state)))
        trainer.optimizer.resume(int(facts["step"]))
    return facts


@contextmanager
def scarce(remedy: str) -> Iterator[None]:
    """Turn what happens inside for want of memory, or of another process, into one line; ``remedy`` ends the first."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        raise plain(error, remedy) from None


def smaller(chunk: int) -> str:
    """Return what bounds the memory of a step."""
    tokens = f"below {chunk:,}" if chunk else "such as 4096"
    return (
        f"set train.chunk to a number of tokens {tokens} (the result is that of the whole batch), or "
        "train.gradient_checkpointing"
    )


def plain(error: BaseException, remedy: str) -> BaseException:
    """Return the one line for memory that ran out, or for another process that ended; any other error as it is."""
    text = str(error)
    if any(words in text for words in GONE):
        return PeerError(
            "train: another process ended, so this one stopped; its own line says why, or the system killed it; the "
            "same command goes on from the last checkpoint"
        )
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not any(words in text for words in SCARCE):
        return error
    return ServiceError(
        f"train: out of memory ({text.splitlines()[0][:120] if text else 'no more to be had'}); {remedy}"
    )
