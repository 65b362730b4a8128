"""AdamW with the learning rate of a step as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def rate(step: int, total: int, warmup: float) -> float:
    """Return the share of the learning rate at ``step`` (from 0) of ``total``.

    Linear from 0 over the first ``warmup`` share of the steps, then linear down to 0: transformers'
    get_linear_schedule_with_warmup, so that runs compare with other trainers step by step.
    """
    rising = math.ceil(warmup * total)
    if step < rising:
        return step / max(rising, 1)
    return max(0.0, (total - step) / max(total - rising, 1))


def groups(parameters: Iterable[tuple[str, nn.Parameter]], rate: float, decay: float) -> list[dict[str, object]]:
    """Return AdamW's parameter groups: weight decay on matrices, none on biases and LayerNorm weights."""
    with_decay: list[Tensor] = []
    without: list[Tensor] = []
    for _, parameter in parameters:
        (with_decay if parameter.ndim > 1 else without).append(parameter)
    return [
        {"params": with_decay, "lr": rate, "base": rate, "weight_decay": decay},
        {"params": without, "lr": rate, "base": rate, "weight_decay": 0.0},
    ]


def make(
    model: nn.Module, head: nn.Module, *, learning_rate: float, head_rate: float, decay: float
) -> torch.optim.Optimizer:
    """Return AdamW over what is trainable in ``model`` and, at ``head_rate`` without decay, in ``head``."""
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    learned = [parameter for parameter in head.parameters() if parameter.requires_grad]
    every = groups(trainable, learning_rate, decay)
    if learned:
        every.append({"params": learned, "lr": head_rate, "base": head_rate, "weight_decay": 0.0})
    return torch.optim.AdamW(every, lr=learning_rate, fused=True)
