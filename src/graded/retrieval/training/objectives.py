"""The six objectives, each a pure function of (scores, targets, masks) that returns one loss a query.

Shapes: ``scores`` and ``targets`` are [b, D], for b queries of this process and the D passages of the whole batch;
the result is [b]. ``scores`` are logits (cosine over temperature, or a * cosine + b), taken in float32 or float64.
With P_i the positives of query i, N_i everything else it may see and m = |P_i|, LSE_S means the log of the summed
exponentials over S. The mean over queries is the caller's; a row without a positive has loss 0 (rows are made so that
there is none), except under BiXSE, whose targets are graded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from graded.errors import ParamError, one_of


class Masks(NamedTuple):
    """Who is what to whom, both [b, D] bool.

    ``positive``: the passage is one of the query's own positives in this batch. ``allowed``: the passage takes part in
    the query's loss (a positive, or a negative that is not known to be relevant).
    """

    positive: Tensor
    allowed: Tensor


Objective = Callable[[Tensor, Tensor, Masks], Tensor]


def lse(values: Tensor, where: Tensor) -> Tensor:
    """Return the log-sum-exp of each row over ``where`` [b]; minus infinity where a row holds nothing."""
    return torch.logsumexp(values.masked_fill(~where, -torch.inf), dim=1)


def infonce(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return LSE_D(z) - z_p for the one positive p of each row.

    van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, equation 4; in-batch
    negatives as in Karpukhin et al. 2020 (DPR) and Wang et al. 2024 (E5, temperature 0.01).
    """
    own = scores.masked_fill(~masks.positive, 0.0).sum(1)
    return _where_any(masks.positive, lse(scores, masks.allowed) - own)


def rand1lh(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return :func:`infonce` of the one positive that was drawn for each query; its other positives are masked.

    Rand1LH of Training Dense Retrievers with Multiple Positive Passages, arXiv 2602.12727: the drawing is in the
    batch (one random positive a query and epoch), and the mask keeps the others out of the denominator.
    """
    return infonce(scores, targets, masks)


def jointlh(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return LSE_D(z) - mean of z_p over P: joint likelihood, divided by m so that queries weigh the same.

    JointLH of arXiv 2602.12727 is m times this; the denominator includes the query's other positives.
    """
    count = masks.positive.sum(1).clamp(min=1)
    own = scores.masked_fill(~masks.positive, 0.0).sum(1) / count
    return _where_any(masks.positive, lse(scores, masks.allowed) - own)


def jointlh_sum(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return m * LSE_D(z) - sum of z_p over P: JointLH of arXiv 2602.12727 as it stands there, not divided by m."""
    return jointlh(scores, targets, masks) * masks.positive.sum(1)


def summarglh(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return LSE_D(z) - LSE_P(z): summed marginal likelihood, pulled most by the easiest positive.

    SumMargLH of arXiv 2602.12727.
    """
    inside = lse(scores, masks.positive | ~masks.positive.any(1, keepdim=True))
    return _where_any(masks.positive, lse(scores, masks.allowed) - inside)


def lsepair(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return log(1 + sum over n in N and p in P of exp(z_n - z_p)): pulled most by the hardest positive.

    LSEPair of arXiv 2602.12727, as softplus(LSE_N(z) + LSE_P(-z)); a row without a negative has loss 0.
    """
    negative = masks.allowed & ~masks.positive
    both = masks.positive.any(1) & negative.any(1)
    spare = ~both[:, None]
    margin = lse(scores, negative | spare) + lse(-scores, masks.positive | spare)
    zero = torch.zeros_like(margin)
    return torch.where(both, torch.logaddexp(margin, zero), zero)


def bixse(scores: Tensor, targets: Tensor, masks: Masks) -> Tensor:
    """Return the summed binary cross-entropy of sigmoid(z) against graded targets y in [0, 1], over D.

    -sum_j [y log s(z) + (1 - y) log(1 - s(z))] with z = a * cos + b, a and b learned, y = grade / 3 on the query's own
    passage and 0 elsewhere. BiXSE, arXiv 2508.06781 (COLM 2025), in the form of SigLIP (Zhai et al. 2023, equation 1):
    derived from its abstract.
    """
    terms = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    return terms.masked_fill(~masks.allowed, 0.0).sum(1)


OBJECTIVES: dict[str, Objective] = {
    "infonce": infonce,
    "bixse": bixse,
    "jointlh": jointlh,
    "summarglh": summarglh,
    "lsepair": lsepair,
    "rand1lh": rand1lh,
}

#: Objectives whose rows are queries with several positives; the others' rows are single pairs.
MULTIPLE = frozenset({"jointlh", "summarglh", "lsepair"})


def objective(name: str, *, divide: bool = True) -> Objective:
    """Return the objective called ``name``; ``divide=False`` gives JointLH without its division by m.

    Raises:
        ParamError: there is none of that name.
    """
    if name not in OBJECTIVES:
        raise ParamError(f"train.objective: {one_of(name, OBJECTIVES)}")
    if name == "jointlh" and not divide:
        return jointlh_sum
    return OBJECTIVES[name]


def _where_any(positive: Tensor, losses: Tensor) -> Tensor:
    return torch.where(positive.any(1), losses, torch.zeros_like(losses))
