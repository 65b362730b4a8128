"""From vectors to the loss and the gradient on the vectors, over all processes.

Each process takes the loss of its own queries against every passage of the batch, divided by the rows of the whole
batch. Summed over processes that is the mean loss, and the sums of the gradients on passages and on parameters are
exactly those of one process with the whole batch: no factor of the number of processes enters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from graded.retrieval.training.group import Group
from graded.retrieval.training.masks import Askers, Offered, build
from graded.retrieval.training.objectives import Objective


class Head(nn.Module):
    """Scores and objective: cosine / temperature, or a * cosine + b with a and b learned (BiXSE).

    a starts at 1 / temperature, and b where the data puts it (:meth:`start`). ``mask`` turns the false-negative
    masks on; ``unit`` scores by cosine rather than by the dot product.
    """

    def __init__(
        self, objective: Objective, *, temperature: float, mask: bool, learned: bool = False, unit: bool = True
    ) -> None:
        super().__init__()
        self.objective, self.mask, self.unit = objective, mask, unit
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)), requires_grad=learned)
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=learned)

    def vectors(self, raw: Tensor) -> Tensor:
        """Return vectors in float32, of unit length where scores are cosines."""
        return normalize(raw.float(), dim=1) if self.unit else raw.float()

    def scores(self, queries: Tensor, passages: Tensor) -> Tensor:
        """Return logits [b, D], in float32 whatever precision the encoder ran in."""
        with torch.autocast(queries.device.type, enabled=False):
            product = self.vectors(queries) @ self.vectors(passages).T
            return product * self.log_scale.exp() + self.bias

    def losses(self, queries: Tensor, passages: Tensor, askers: Askers, offered: Offered) -> Tensor:
        """Return one loss a query [b]."""
        targets, masks = build(askers, offered, mask=self.mask)
        return self.objective(self.scores(queries, passages), targets, masks)

    def learned(self) -> dict[str, float] | None:
        """Return the scale a and the bias b of a * cosine + b where they were learned, for the model's folder."""
        if not self.bias.requires_grad:
            return None
        return {"scale": math.exp(float(self.log_scale.detach())), "bias": float(self.bias.detach())}

    @torch.no_grad()
    def start(self, queries: Tensor, passages: Tensor, askers: Askers, offered: Offered, group: Group) -> None:
        """Set b so that a mean negative starts at probability 1 / D: b = logit(1 / D) - a * mean(cos of negatives).

        On an encoder whose cosines sit at 0.7 to 1.0 a fixed b would start every negative far on the wrong side.
        """
        _, masks = build(askers, offered, mask=self.mask)
        negative = masks.allowed & (askers.row[:, None] != offered.row[None, :])
        product = self.vectors(queries) @ self.vectors(passages).T
        sums = torch.stack([(product * negative).sum(dtype=torch.float64), negative.sum(dtype=torch.float64)])
        group.add(sums)
        mean = float(sums[0] / sums[1].clamp(min=1))
        chance = 1 / max(passages.shape[0], 2)
        self.bias.fill_(math.log(chance / (1 - chance)) - math.exp(float(self.log_scale)) * mean)
