"""AdamW with the learning rate of a step as a pure function of the step; embedding rows apart where that pays."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graded.retrieval.training.group import Group
from graded.retrieval.training.table_adamw import BETA1, BETA2, EPSILON, TableAdamW


def share(step: int, total: int, warmup: float) -> float:
    """Return the share of the learning rate at ``step`` (from 0) of ``total``.

    Linear from 0 over the first ``warmup`` share of the steps, then linear down to 0: transformers'
    get_linear_schedule_with_warmup, so that runs compare with other trainers step by step.
    """
    rising = math.ceil(warmup * total)
    if step < rising:
        return step / max(rising, 1)
    return max(0.0, (total - step) / max(total - rising, 1))


class Optimizer:
    """AdamW over what is trainable in ``model`` and (at ``head_rate``, without decay) in ``head``.

    Weight decay is on matrices, not on biases and LayerNorm weights. ``total`` steps with ``warmup`` rising. On a CPU
    the token embeddings' gradient is sparse and their update touches only the rows that are read
    (:class:`TableAdamW`); on a GPU one fused kernel goes over everything.
    """

    def __init__(
        self, model: nn.Module, head: nn.Module, *, learning_rate: float, head_rate: float, decay: float, total: int,
        warmup: float, table: nn.Embedding | None = None,
    ) -> None:  # fmt: skip
        self.learning_rate, self.total, self.warmup = learning_rate, total, warmup
        rows = table.weight if table is not None and table.weight.requires_grad else None
        self.rows: TableAdamW | None = None
        if table is not None and rows is not None:
            table.sparse = True
            self.rows = TableAdamW(rows.data, lambda step: learning_rate * share(step - 1, total, warmup), decay)
        self.table = rows
        self.trained: list[Tensor] = [value for value in model.parameters() if value.requires_grad]
        self.learned: list[Tensor] = [value for value in head.parameters() if value.requires_grad]
        dense = [value for value in self.trained if value is not rows]
        groups = [
            {"params": [value for value in dense if value.ndim > 1], "base": learning_rate, "weight_decay": decay},
            {"params": [value for value in dense if value.ndim < 2], "base": learning_rate, "weight_decay": 0.0},
            {"params": self.learned, "base": head_rate, "weight_decay": 0.0},
        ]
        self.dense = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=learning_rate, betas=(BETA1, BETA2), eps=EPSILON, fused=True,
        )  # fmt: skip

    def rate(self, step: int) -> float:
        """Return the learning rate of ``step``, from 0."""
        return self.learning_rate * share(step, self.total, self.warmup)

    def before(self, ids: Tensor) -> None:
        """Make current what a pass over the tokens ``ids`` reads."""
        if self.rows is not None:
            self.rows.catch_up(ids.unique())

    def step(self, step: int, gradients: list[Tensor | None], max_norm: float, group: Group) -> float:
        """Add ``gradients`` (of ``trained``) over the processes, clip, and move the weights; return the norm.

        Where the norm is not finite nothing is moved.
        """
        given = [_dense(grad, value, self.table) for grad, value in zip(gradients, self.trained, strict=True)]
        group.add(*(grad for grad in given if grad is not None))
        rows, values = self._rows(gradients, group)
        every = [grad for grad in given if grad is not None] + [value.grad for value in self.learned]
        norms = torch._foreach_norm([*every, *([values] if values is not None else [])])
        norm = float(torch.linalg.vector_norm(torch.stack(norms)))
        if not math.isfinite(norm):
            return norm
        if max_norm and norm > max_norm:
            torch._foreach_mul_([*every, *([values] if values is not None else [])], max_norm / (norm + 1e-6))
        for value, grad in zip(self.trained, given, strict=True):
            value.grad = grad
        for each in self.dense.param_groups:
            each["lr"] = each["base"] * share(step, self.total, self.warmup)
        self.dense.step()
        if self.rows is not None and rows is not None and values is not None:
            self.rows.step(rows, values)
        self.dense.zero_grad(set_to_none=True)
        return norm

    def _rows(self, gradients: list[Tensor | None], group: Group) -> tuple[Tensor | None, Tensor | None]:
        if self.rows is None or self.table is None:
            return None, None
        index = next(place for place, value in enumerate(self.trained) if value is self.table)
        grad = gradients[index]
        ids = torch.empty(0, dtype=torch.int64, device=self.table.device)
        values = self.table.new_empty((0, self.table.shape[1])).detach()
        if grad is not None:
            grad = grad.coalesce()
            ids, values = grad.indices()[0], grad.values()
        return group.add_rows(ids, values)

    def state(self) -> dict[str, Tensor]:
        """Return the moments and counts, by name; they are the live ones. Before the first step they are zeros."""
        found: dict[str, Tensor] = {}
        for index, value in enumerate(value for group in self.dense.param_groups for value in group["params"]):
            moments = self.dense.state[value]
            if not moments:
                moments["step"] = torch.zeros((), dtype=torch.float32, device=value.device)
                moments["exp_avg"], moments["exp_avg_sq"] = torch.zeros_like(value), torch.zeros_like(value)
            found |= {f"adamw.{index}.{name}": moments[name] for name in ("step", "exp_avg", "exp_avg_sq")}
        if self.rows is not None:
            found |= {"rows.mean": self.rows.mean, "rows.square": self.rows.square, "rows.last": self.rows.last}
        return found

    def resume(self, step: int) -> None:
        """Say that ``step`` steps were taken, after :meth:`state`'s tensors were filled."""
        if self.rows is not None:
            self.rows.now = step

    def finish(self) -> None:
        """Make every weight current, at the end of the run."""
        if self.rows is not None:
            self.rows.finish()


def _dense(grad: Tensor | None, value: Tensor, table: Tensor | None) -> Tensor | None:
    """Return a dense gradient (zeros where a process had no text); None for the table, whose rows go their own way."""
    if value is table:
        return None
    return torch.zeros_like(value) if grad is None else grad
