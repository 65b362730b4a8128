"""What may be among the k best: first passes over chunks, and a floor for each query that rises as they go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from graded.errors import ParamError, one_of
from graded.retrieval.search_pass import Float32Pass, Floats, Int8Pass, Ints, Pairs, Pass, float32_error, int8_is_exact

FIRST_PASSES = ("float32", "int8")

#: Chunks after which a pass that lost is tried again; doubled each time it loses.
RETRY = 4


def make_product(queries: Floats, k: int, first_pass: str, device: str) -> Product:
    """Return the first pass of that name for a block of queries, float32 ``[Q, dim]``.

    Raises:
        ParamError: there is no such first pass, or this processor cannot do it.
    """
    if first_pass not in ("auto", *FIRST_PASSES):
        raise ParamError(f"first_pass: {one_of(first_pass, ('auto', *FIRST_PASSES))}")
    if first_pass == "int8" and not int8_is_exact():
        raise ParamError("first_pass: received 'int8', which is exact with VNNI instructions only; legal here: float32")
    if first_pass == "auto":
        first_pass = "int8" if int8_is_exact() else "float32"
    return Product(queries, k, first_pass)


class Product:
    """First passes on a CPU over pieces of a chunk, one thread a piece.

    The cheap pass leaves more pairs to rescore: too many while the floor is low, or where all scores lie close
    together. So both are timed, and the faster one goes on; which one it is changes nothing in the result.
    """

    def __init__(self, queries: Floats, k: int, first_pass: str) -> None:
        import torch

        self.queries, self.k = queries, k
        self.norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        self.lower = np.full((len(queries), k), -np.inf, np.float32)
        self.kinds: list[type[Float32Pass] | type[Int8Pass]] = [Float32Pass]
        if first_pass == "int8":
            self.kinds.append(Int8Pass)
        self.threads = torch.get_num_threads()
        self.passes: list[list[Pass]] = [[] for _ in self.kinds]
        self.cost = [0.0] * len(self.kinds)  # seconds a passage, of each kind's last chunk
        self.skip, self.patience = 0, RETRY

    def begin(self, known: Floats) -> None:
        """Start from the best scores known so far, float32 ``[Q, k]``, descending, -inf where there is none."""
        self.lower = known.copy()

    def floor(self) -> Floats:
        """Return a score that each query's k-th best passage reaches, float32 ``[Q]``."""
        return self.lower[:, -1].copy()

    def candidates(self, vectors: Floats) -> Pairs:
        """Return the pairs that may be among the k best: query, row, and the most that its exact score can be."""
        import torch

        kind, start = self._kind(), time.thread_time()
        floor, step = self.floor(), self.kinds[kind].piece
        starts = range(0, len(vectors), step)
        with one_thread() if self.threads > 1 else nothing():
            parts = list(self._map(kind, [vectors[at : at + step] for at in starts], floor))
        query = np.concatenate([part[0] for part in parts])
        row = np.concatenate([part[1] + at for part, at in zip(parts, starts, strict=True)])
        found = np.concatenate([part[2] for part in parts])
        longest = float(torch.linalg.vector_norm(torch.from_numpy(vectors), dim=1).max())
        error = float32_error(self.norms, longest, vectors.shape[1])[query]
        keep = found + error >= floor[query]
        query, row, found, error = query[keep], row[keep], found[keep], error[keep]
        self._raise(query, found - error)
        self._learn(kind, (time.thread_time() - start + sum(part[3] for part in parts)) / len(vectors))
        return query, row, found + error

    def _map(self, kind: int, pieces: list[Floats], floor: Floats) -> Iterator[tuple[Ints, Ints, Floats, float]]:
        workers = min(self.threads, len(pieces))
        while len(self.passes[kind]) < workers:
            self.passes[kind].append(self.kinds[kind](self.queries, self.norms))
        if workers == 1:
            yield from ((*self.passes[kind][0].pairs(piece, floor), 0.0) for piece in pieces)
            return
        free = list(self.passes[kind])

        def work(piece: Floats) -> tuple[Ints, Ints, Floats, float]:
            mine, start = free.pop(), time.thread_time()
            try:
                return *mine.pairs(piece, floor), time.thread_time() - start
            finally:
                free.append(mine)

        with ThreadPoolExecutor(workers, initializer=set_threads, initargs=(1,)) as pool:
            yield from pool.map(work, pieces)

    def _kind(self) -> int:
        if len(self.kinds) == 1 or not np.isfinite(self.lower[:, -1]).all():
            return 0
        if not self.cost[1]:
            return 1
        if self.cost[1] <= self.cost[0]:
            return 1
        if self.skip > 0:
            self.skip -= 1
            return 0
        return 1

    def _learn(self, kind: int, cost: float) -> None:
        self.cost[kind] = cost
        if kind == 1 and cost > self.cost[0]:
            self.skip, self.patience = self.patience, 2 * self.patience

    def _raise(self, query: npt.NDArray[np.int64], lower: Floats) -> None:
        """Put new lower bounds among each query's k best."""
        if not len(query):
            return
        order = np.argsort(query, kind="stable")
        query, lower = query[order], lower[order]
        counts = np.bincount(query, minlength=len(self.lower))
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        new = np.full((len(self.lower), int(counts.max())), -np.inf, np.float32)
        new[query, place] = lower
        self.lower = largest(np.concatenate([self.lower, new], axis=1), self.k)


def largest(values: Floats, k: int) -> Floats:
    """Return the k largest of each row, descending."""
    import torch

    return np.asarray(torch.topk(torch.from_numpy(values), k, dim=1).values.numpy())


def set_threads(count: int) -> None:
    """Set the threads of this thread's own products."""
    import torch

    torch.set_num_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Give each product one thread while several run side by side."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def nothing() -> Iterator[Any]:
    """Change nothing."""
    yield
