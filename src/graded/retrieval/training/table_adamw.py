"""AdamW on a big embedding table at the cost of the rows that a step touches, equal to AdamW on the whole table.

A row that a step does not touch still moves under AdamW: its first moment has not died down. Those moves depend on
nothing but the row's own state, so they can wait until the row is next read: :meth:`TableAdamW.catch_up` replays them,
step by step, with torch's own fused kernel, hence bit for bit. After ``REPLAY`` missed steps a row's first moment has
shrunk by 0.9 ** REPLAY and the rest of its moves is below float32's resolution (their sum is less than 1e-7 of one
step's learning rate): from there the moments decay in closed form. A row that was never touched has no moments; only
weight decay moves it, in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from mmap import mmap

import numpy as np
import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
REPLAY = 192


class TableAdamW:
    """AdamW for ``table`` [rows, width]; ``rate(t)`` is the learning rate of step t (from 1), ``decay`` decoupled.

    ``mean`` and ``square`` are the moments, ``last`` [rows] the step up to which a row is current (0: never touched).
    """

    def __init__(self, table: Tensor, rate: Callable[[int], float], decay: float) -> None:
        self.table, self.rate, self.decay = table, rate, decay
        self.mean, self.square = untouched(table), untouched(table)
        self.last = torch.zeros(len(table), dtype=torch.int64, device=table.device)
        self.now = 0
        self.kept = [1.0]

    @torch.no_grad()
    def catch_up(self, ids: Tensor) -> None:
        """Make the rows ``ids`` (distinct) current, as of the last step taken."""
        late = ids[self.last[ids] < self.now]
        fresh, late = late[self.last[late] == 0], late[self.last[late] > 0]
        if self.decay and len(fresh):
            self.table[fresh] *= self._kept(self.last[fresh])[:, None]
            self.last[fresh] = self.now
        if not len(late):
            return
        last, order = torch.sort(self.last[late], stable=True)
        late = late[order]
        rows, mean, square = self.table[late], self.mean[late], self.square[late]
        steps = last.cpu().numpy()
        for step in range(int(steps[0]) + 1, self.now + 1):
            begin, end = np.searchsorted(steps, [step - REPLAY, step])
            if begin < end:
                part = slice(begin, end)
                self._fused(rows[part], torch.zeros_like(rows[part]), mean[part], square[part], step)
        skipped = (self.now - last - REPLAY).clamp(min=0)
        if int(skipped.max()):
            mean *= (BETA1**skipped).to(mean.dtype)[:, None]
            square *= (BETA2**skipped).to(square.dtype)[:, None]
            rows *= self._kept(self.now - skipped)[:, None]
        self.table[late], self.mean[late], self.square[late], self.last[late] = rows, mean, square, self.now

    @torch.no_grad()
    def step(self, ids: Tensor, gradient: Tensor) -> None:
        """Take the next step with ``gradient`` [n, width] on the rows ``ids`` [n] (distinct), zero on all others."""
        self.catch_up(ids)
        self.now += 1
        rows, mean, square = self.table[ids], self.mean[ids], self.square[ids]
        self._fused(rows, gradient, mean, square, self.now)
        self.table[ids], self.mean[ids], self.square[ids], self.last[ids] = rows, mean, square, self.now

    def finish(self) -> None:
        """Make every row current."""
        self.catch_up(torch.arange(len(self.table), device=self.table.device))

    def _kept(self, since: Tensor) -> Tensor:
        """Return what weight decay leaves of a row over the steps since + 1 to now [n]."""
        while len(self.kept) <= self.now:
            self.kept.append(self.kept[-1] * (1 - self.rate(len(self.kept)) * self.decay))
        kept = torch.tensor(self.kept[: self.now + 1], dtype=torch.float64, device=since.device)
        return (kept[-1] / kept[since]).to(self.table.dtype)

    def _fused(self, rows: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: int) -> None:
        count = torch.tensor(float(step), device=rows.device)
        torch._fused_adamw_(
            [rows], [gradient], [mean], [square], [], [count], lr=self.rate(step), beta1=BETA1, beta2=BETA2,
            weight_decay=self.decay, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip


def untouched(like: Tensor) -> Tensor:
    """Return zeros of the shape of ``like`` that take memory only where they are written (on a CPU)."""
    if like.device.type != "cpu" or like.dtype is not torch.float32:
        return torch.zeros_like(like)
    pages = mmap(-1, max(1, 4 * like.numel()))  # small pages; numpy's and torch's zeros are written or huge
    return torch.frombuffer(pages, dtype=torch.float32, count=like.numel()).view(like.shape)
