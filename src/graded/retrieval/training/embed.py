"""Vectors of a batch with the memory of one chunk (GradCache), or in one pass.

Contrastive losses need every vector of the batch at once but not every activation. GradCache (Gao et al. 2021,
Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup) computes the vectors without a graph, takes
the loss's gradient on them, then runs each chunk again with a graph and hands it its part of that gradient. The
gradient is that of the whole batch; dropout draws the same masks in both runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from graded.retrieval.tokens import Tokens, chunks

#: (input_ids [tokens], lengths [n]) -> vectors [n, dim], as graded.retrieval.flat.FlatModel is called.
Model = Callable[[Tensor, np.ndarray], Tensor]


class Embedded:
    """Vectors [n, dim] of ``tokens``' n texts, without a graph; :meth:`backward` runs the encoder's backward pass.

    ``chunk`` bounds the tokens of one encoder pass (0: no bound, one pass); texts are sorted into chunks by length.
    A process with no text of a small last batch has [0, dim] vectors.
    """

    def __init__(self, model: Model, tokens: Tokens, *, dim: int, chunk: int, device: torch.device) -> None:
        self.model, self.tokens, self.device = model, tokens, device
        self.parts = chunks(tokens.lengths, chunk or int(tokens.lengths.sum()) + 1)
        self.states: list[list[Tensor]] = []
        self.last: Tensor | None = None
        vectors: list[Tensor] = []
        for part in self.parts:
            if part is self.parts[-1]:  # its graph is kept: one forward pass fewer
                self.last = self._run(part)
                vectors.append(self.last.detach())
            else:
                self.states.append(rng_state(device))
                with torch.no_grad():
                    vectors.append(self._run(part))
        order = np.concatenate(self.parts) if self.parts else np.empty(0, np.int64)
        self.back = torch.from_numpy(np.argsort(order)).to(device)
        self.vectors = torch.cat(vectors)[self.back] if vectors else torch.zeros((0, dim), device=device)

    def backward(self, gradient: Tensor) -> None:
        """Add the parameters' gradients, given the loss's ``gradient`` with respect to ``vectors`` [n, dim]."""
        if self.last is None:
            return
        pieces = [gradient[torch.from_numpy(part).to(self.device)] for part in self.parts]
        self.last.backward(pieces[-1])
        self.last = None
        after = rng_state(self.device)
        for part, state, piece in zip(self.parts, self.states, pieces, strict=False):
            set_rng_state(state, self.device)
            self._run(part).backward(piece)
        set_rng_state(after, self.device)

    def _run(self, part: np.ndarray) -> Tensor:
        taken = self.tokens.take(part)
        return self.model(torch.from_numpy(taken.ids).to(self.device), taken.lengths)


def rng_state(device: torch.device) -> list[Tensor]:
    """Return the random state that dropout on ``device`` draws from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_rng_state(states: list[Tensor], device: torch.device) -> None:
    """Put back what :func:`rng_state` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
