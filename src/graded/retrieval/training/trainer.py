"""The training loop: one step after another, each a pure function of (weights, data, seed, step).

No random state lives between steps: a step seeds dropout from (seed, step, process), and its rows come from the
plan. So a run that goes on from a checkpoint is the run that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graded.errors import ServiceError
from graded.retrieval.tokens import Tokenizer, Tokens
from graded.retrieval.training.batch import Batch, Source
from graded.retrieval.training.batching import Plan
from graded.retrieval.training.embed import Embedded, Lanes
from graded.retrieval.training.group import Group
from graded.retrieval.training.head import Head
from graded.retrieval.training.negatives import Counts
from graded.retrieval.training.optimizer import Optimizer


class Event(NamedTuple):
    """What one finished step says; ``step`` counts from 1, the rest is this step's.

    ``pairs`` are the graded pairs that its rows showed, ``counts`` the explicit negatives beside them.
    """

    step: int
    total: int
    loss: float
    learning_rate: float
    pairs: int
    counts: Counts


@dataclass
class Trainer:
    """What a run is made of; :meth:`run` goes through the plan.

    ``prefixes`` stand before queries and passages; ``chunk`` bounds the tokens in the encoder at once (0: none).
    """

    model: Any
    lanes: Lanes
    head: Head
    optimizer: Optimizer
    tokenizer: Tokenizer
    prefixes: tuple[str, str]
    source: Source
    plan: Plan
    group: Group
    chunk: int = 0
    max_norm: float = 1.0
    seed: int = 0

    def shown(self, steps: int) -> int:
        """Return the pairs that the first ``steps`` steps show."""
        return self.plan.shown(steps, self.source.rows.pairs)

    def run(self, start: int = 0, done: Callable[[Event], None] = lambda event: None) -> None:
        """Train from step ``start`` (0 is the beginning) to the end of the plan; ``done`` is called after each step.

        Raises:
            ServiceError: the loss or the gradient is no finite number; the weights are those of the step before.
        """
        self.model.train()
        for step in range(start, self.plan.total):
            epoch, rows = self.plan.batch(step)
            batch = self.source.batch(rows, epoch, self.group.size)
            loss = self.step(step, batch)
            rate, total = self.optimizer.rate(step), self.plan.total
            done(Event(step + 1, total, loss, rate, batch.pairs, batch.counts))
        self.optimizer.finish()
        self.model.eval()

    def step(self, step: int, batch: Batch) -> float:
        """Take one step with ``batch`` and return its loss, the mean over the rows of all processes."""
        torch.manual_seed(int(np.random.SeedSequence((self.seed, step, self.group.rank)).generate_state(1)[0]))
        loss, gradients = self.gradient(batch)
        norm = self.optimizer.step(step, gradients, self.max_norm, self.group)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise ServiceError(
                f"train: loss {loss}, gradient norm {norm} at step {step + 1} of {self.plan.total}; "
                "lower train.learning_rate, or raise train.temperature"
            )
        return loss

    def gradient(self, batch: Batch) -> tuple[float, list[Tensor | None]]:
        """Return the batch's mean loss, and this process's part of its gradient on each trained parameter.

        The gradient on the head's parameters is whole and stands on them.
        """
        part, device = self.group.rank, self.group.device
        askers, offered = self.source.keys(batch, part, device)
        tokens = self.tokens(batch)
        self.optimizer.before(torch.from_numpy(tokens.ids).to(device))
        embedded = Embedded(self.lanes, tokens, dim=self.model.dim, chunk=self.chunk)
        asked = len(batch.parts[part])
        queries = embedded.vectors[:asked].requires_grad_()
        passages = self.group.gather(embedded.vectors[asked:], batch.columns).requires_grad_()
        loss = self.head.losses(queries, passages, askers, offered).sum() / len(batch.query)
        loss.backward()
        total = loss.detach().double()
        self.group.add(total, _grad(passages), *(_grad(value) for value in self.optimizer.learned))
        columns = torch.from_numpy(batch.columns[part]).to(device)
        return float(total), embedded.backward(torch.cat([_grad(queries), _grad(passages)[columns]]))

    def tokens(self, batch: Batch) -> Tokens:
        """Return the tokens of this process's queries, then of its passages."""
        queries, passages = self.source.texts(batch, self.group.rank)
        asked = self.tokenizer(queries, self.prefixes[0])
        offered = self.tokenizer(passages, self.prefixes[1])
        return Tokens(np.concatenate([asked.ids, offered.ids]), np.concatenate([asked.lengths, offered.lengths]))

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that a step changes, by name; they are the live ones, so filling them restores it."""
        named = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        return (
            {f"model.{name}": value for name, value in named.items()}
            | {f"head.{name}": value for name, value in self.head.named_parameters()}
            | self.optimizer.state()
        )

    @torch.no_grad()
    def start(self) -> None:
        """Set what the head learns (if it learns) from the data: from the first batch, with dropout off."""
        if not self.head.bias.requires_grad:
            return
        epoch, rows = self.plan.batch(0)
        batch = self.source.batch(rows, epoch, self.group.size)
        part, device = self.group.rank, self.group.device
        self.model.eval()
        vectors = Embedded(self.lanes, self.tokens(batch), dim=self.model.dim, chunk=self.chunk, graph=False).vectors
        asked = len(batch.parts[part])
        passages = self.group.gather(vectors[asked:], batch.columns)
        self.head.start(vectors[:asked], passages, *self.source.keys(batch, part, device), self.group)


def _grad(value: Tensor) -> Tensor:
    """Return the gradient on ``value``; zeros where the loss did not reach it (a process without rows)."""
    if value.grad is None:
        value.grad = torch.zeros_like(value)
    return value.grad
