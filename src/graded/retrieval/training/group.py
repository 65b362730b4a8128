"""The processes that train together, as Accelerate started them: who this one is, and what they tell one another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from graded.retrieval.distributed import tell_if_alone

#: How long a process waits for others whose share of some work takes longer (the launcher ends it if one of them dies).
PATIENCE = timedelta(days=7)


class Group:
    """``rank`` of ``size`` processes on ``device``; with one process nothing travels."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.size = rank, size
        self.device = device or torch.device("cpu")

    @classmethod
    def launched(cls) -> Group:
        """Return the group of this `accelerate launch` (one process where the program was started plainly).

        Where accelerate was told of several and started one, that is said in one line.
        """
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env

        state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available())
        if state.num_processes == 1:
            tell_if_alone()
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def gather(self, mine: Tensor, where: list[np.ndarray]) -> Tensor:
        """Return the rows of all processes [n, ...] from this one's [len(where[rank]), ...]; no gradient passes.

        ``where`` says for each process which rows of the result its own are; together they cover 0 to n - 1.
        """
        if self.size == 1:
            return mine.detach()
        longest = max(len(rows) for rows in where)
        padded = mine.new_zeros((longest, *mine.shape[1:]))
        padded[: len(mine)] = mine.detach()
        parts = [torch.empty_like(padded) for _ in where]
        distributed.all_gather(parts, padded)
        whole = mine.new_empty((sum(len(rows) for rows in where), *mine.shape[1:]))
        for part, rows in zip(parts, where, strict=True):
            whole[torch.from_numpy(rows).to(whole.device)] = part[: len(rows)]
        return whole

    def add(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over the processes, in place."""
        if self.size > 1:
            for work in [distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def add_rows(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distinct rows of all processes and the sums of their values, from (ids [n], values [n, width])."""
        if self.size == 1:
            return ids, values
        counts = [torch.zeros(1, dtype=torch.int64, device=ids.device) for _ in range(self.size)]
        distributed.all_gather(counts, torch.tensor([len(ids)], device=ids.device))
        ends = np.cumsum([0, *(int(count) for count in counts)])
        where = [np.arange(begin, end) for begin, end in pairwise(ends)]
        every, summed = torch.unique(self.gather(ids, where), return_inverse=True)
        return every, torch.zeros((len(every), values.shape[1]), dtype=values.dtype, device=values.device).index_add_(
            0, summed, self.gather(values, where)
        )

    def tell(self, value: Any) -> Any:
        """Return process 0's ``value`` (numbers, strings, lists) in every process."""
        if self.size == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, src=0, device=self.device)
        return told[0]

    def patient(self) -> Callable[[Any], list[Any]]:
        """Return a function that gives every process's value to each, however long they are in coming.

        Call it before the work: the usual waits of training end after ten to thirty minutes.
        """
        if self.size == 1:
            return lambda mine: [mine]
        slow = distributed.new_group(backend="gloo", timeout=PATIENCE)

        def gather(mine: Any) -> list[Any]:
            found: list[Any] = [None] * self.size
            distributed.all_gather_object(found, mine, group=slow)
            distributed.destroy_process_group(slow)
            return found

        return gather

    def copy(self, *tensors: Tensor) -> None:
        """Replace each tensor by process 0's, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)
