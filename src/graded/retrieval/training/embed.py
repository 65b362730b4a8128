"""Vectors of a batch, and the encoder's gradient, on the cores of this process and with bounded memory.

Contrastive losses need every vector of the batch at once but not every activation. GradCache (Gao et al. 2021,
Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup) computes the vectors without a graph, takes
the loss's gradient on them, then runs each chunk again with a graph and hands it its part of that gradient. The
gradient is that of the whole batch; dropout draws the same masks in both runs.

On a CPU the texts go through ``LANES`` lanes, each on one core: small products on one core lose less than a product
that all cores wait for. The lanes' gradients are summed in a fixed order, so the result does not depend on how many
cores there are. Dropout draws from one stream, so with dropout there is a single lane that uses all cores.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graded.retrieval.tokens import Tokens, chunks

LANES = 4


class Lanes:
    """How an encoder runs: ``model(input_ids, lengths)`` inside ``context``, on ``count`` lanes of ``threads`` threads.

    ``trained`` are the parameters whose gradient is wanted.
    """

    def __init__(
        self,
        model: Any,
        trained: list[Tensor],
        device: torch.device,
        context: Callable[[], AbstractContextManager[Any]],
        *,
        dropout: bool,
        threads: int,
    ) -> None:
        self.model, self.trained, self.device, self.context = model, trained, device, context
        self.count = 1 if dropout or device.type != "cpu" else LANES
        #: Of a lane: with more than one, a sum may be taken in another order.
        self.threads = max(1, threads // self.count)
        self.pool = ThreadPoolExecutor(
            min(self.count, threads), initializer=torch.set_num_threads, initargs=(self.threads,)
        )

    def map(self, task: Callable[[int], Any]) -> list[Any]:
        """Return ``task(lane)`` for each lane."""
        if self.count == 1:
            return [task(0)]
        return list(self.pool.map(task, range(self.count)))

    def run(self, tokens: Tokens, part: np.ndarray) -> Tensor:
        """Return the vectors [n, dim] of the texts ``part``."""
        taken = tokens.take(part)
        with self.context():
            vectors: Tensor = self.model(torch.from_numpy(taken.ids).to(self.device), taken.lengths)
        return vectors


@dataclass
class _Lane:
    """The chunks of one lane; the graph of its last one is kept (of its only one, where nothing bounds memory)."""

    parts: list[np.ndarray] = field(default_factory=list)
    states: list[list[Tensor]] = field(default_factory=list)
    last: Tensor | None = None


class Embedded:
    """Vectors [n, dim] of ``tokens``' n texts, without a graph; :meth:`backward` gives the parameters' gradients.

    ``chunk`` bounds the tokens that are in the encoder at once, over all lanes (0: no bound). ``graph=False`` keeps
    nothing for a backward pass. A process without a text in a small last batch has [0, dim] vectors.
    """

    def __init__(self, lanes: Lanes, tokens: Tokens, *, dim: int, chunk: int, graph: bool = True) -> None:
        self.lanes, self.tokens, self.graph = lanes, tokens, graph
        total = int(tokens.lengths.sum())
        budget = chunk if chunk and chunk < total else total
        parts = chunks(tokens.lengths, max(1, -(-budget // lanes.count)))
        self.work = [_Lane(parts[lane :: lanes.count]) for lane in range(lanes.count)]
        found = lanes.map(self._forward)
        order = [part for lane in self.work for part in lane.parts]
        device = lanes.device
        self.vectors = torch.zeros((len(tokens.lengths), dim), device=device)
        if order:
            self.vectors[torch.from_numpy(np.concatenate(order)).to(device)] = torch.cat(
                [v for row in found for v in row]
            )

    def _forward(self, lane: int) -> list[Tensor]:
        work, vectors = self.work[lane], []
        for part in work.parts:
            keep = self.graph and part is work.parts[-1]
            if not keep:
                work.states.append(rng_state(self.lanes.device) if self.lanes.count == 1 else [])
            with torch.set_grad_enabled(keep):
                found = self.lanes.run(self.tokens, part)
            if keep:
                work.last = found
            vectors.append(found.detach().float())
        return vectors

    def backward(self, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradient of each trained parameter, given the loss's ``gradient`` on ``vectors`` [n, dim].

        None where no text reached a parameter. A gradient of embedding rows may be sparse.
        """
        self.gradient = gradient
        return _sum(self.lanes.map(self._backward))

    def _backward(self, lane: int) -> list[Tensor | None]:
        work, device = self.work[lane], self.lanes.device
        total: list[Tensor | None] = [None] * len(self.lanes.trained)
        after = rng_state(device)
        for index in reversed(range(len(work.parts))):
            part = work.parts[index]
            if work.last is not None:
                vectors, work.last = work.last, None
            else:
                if self.lanes.count == 1:
                    set_rng_state(work.states[index], device)
                vectors = self.lanes.run(self.tokens, part)
            piece = self.gradient[torch.from_numpy(part).to(device)].to(vectors.dtype)
            found = torch.autograd.grad(vectors, self.lanes.trained, piece, allow_unused=True)
            total = _sum([total, list(found)])
            if len(work.parts) > 1:  # rows of the table that recur are kept once, not once a chunk
                total = [grad.coalesce() if grad is not None and grad.is_sparse else grad for grad in total]
        if self.lanes.count == 1:
            set_rng_state(after, device)
        return total


def _sum(parts: list[list[Tensor | None]]) -> list[Tensor | None]:
    """Add up gradients parameter by parameter, in the order given; the first one's memory is used."""
    total = list(parts[0])
    for part in parts[1:]:
        both = [index for index, grad in enumerate(part) if grad is not None and total[index] is not None]
        dense = [index for index in both if not part[index].is_sparse]  # type: ignore[union-attr]
        if dense:
            torch._foreach_add_([total[index] for index in dense], [part[index] for index in dense])
        for index, grad in enumerate(part):
            if grad is not None and total[index] is None:
                total[index] = grad
            elif grad is not None and grad.is_sparse:
                total[index] = total[index] + grad
    return total


def rng_state(device: torch.device) -> list[Tensor]:
    """Return the random state that dropout on ``device`` draws from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_rng_state(states: list[Tensor], device: torch.device) -> None:
    """Put back what :func:`rng_state` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
