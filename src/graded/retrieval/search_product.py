"""What may be among the k best: first passes over chunks, and a floor for each query that rises as they go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt

from graded.errors import ParamError, one_of
from graded.retrieval.search_device import DeviceProduct
from graded.retrieval.search_int8 import Int8Pass, int8_is_exact
from graded.retrieval.search_multiply import Floats, Ints
from graded.retrieval.search_pass import BFloat16Pass, Float32Pass, Pairs, Pass, bfloat16_is_fast, float32_error
from graded.retrieval.threads import one_thread

FIRST_PASSES: dict[str, type[Float32Pass] | type[Int8Pass] | type[BFloat16Pass]] = {
    "float32": Float32Pass,
    "int8": Int8Pass,
    "bfloat16": BFloat16Pass,
}

#: Passages that a thread takes at least.
SPAN = 256
#: New lower bounds a query that wait until the floors rise.
LAZY = 4
#: Passages a chunk from which on the other passes are tried: earlier, too many pairs are left to compare them by.
WORTH = 4096
#: A pass that is not used is thought to get cheaper, until it is tried again: by 2% a chunk, so that one that takes r
#: times as long costs (r - 1) / ln(r) times 2% in all; while the first, finest one is used, also by 1 - ``RISE`` each
#: time that what was seen has doubled, since the floors' rise leaves the coarser passes fewer pairs.
FADE, RISE = 0.98, 0.6


def make_product(queries: Floats, k: int, first_pass: str, device: str) -> Product | DeviceProduct:
    """Return the first pass of that name for a block of queries, float32 ``[Q, dim]``; ``auto`` races them.

    Raises:
        ParamError: there is no such first pass, or this processor cannot do it.
    """
    if first_pass not in ("auto", *FIRST_PASSES):
        raise ParamError(f"first_pass: {one_of(first_pass, ('auto', *FIRST_PASSES))}")
    if device != "cpu":
        if first_pass == "int8":
            raise ParamError(f"first_pass: received 'int8' on {device}; legal there: auto, float32, bfloat16")
        return DeviceProduct(queries, k, device, rounded=first_pass == "bfloat16")
    exact = queries.shape[1] >= Int8Pass.MIN_DIM and int8_is_exact()
    if first_pass == "int8" and not exact:
        raise ParamError(
            "first_pass: received 'int8'; that needs VNNI and 16 components up; legal here: auto, float32, bfloat16"
        )
    if first_pass == "auto":
        names = ["float32", *(["int8"] if exact else []), *(["bfloat16"] if bfloat16_is_fast() else [])]
    else:
        names = list(dict.fromkeys(["float32", first_pass]))
    return Product(queries, k, names)


class Product:
    """First passes on a CPU over spans of a chunk, one thread a span.

    A cheap pass leaves more pairs to rescore: too many while the floor is low, or where all scores lie close
    together. So they are timed, and the fastest goes on; which one it is changes nothing in the result.
    """

    def __init__(self, queries: Floats, k: int, names: Sequence[str]) -> None:
        import torch

        self.queries, self.k = queries, k
        self.norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        self.lower = np.full((len(queries), k), -np.inf, np.float32)
        self.kinds = [FIRST_PASSES[name] for name in names]
        self.threads = torch.get_num_threads()
        self.passes: list[list[Pass]] = [[] for _ in self.kinds]
        #: Lower bounds that are not among ``lower`` yet: query and value.
        self.waiting: list[tuple[Ints, Floats]] = []
        #: Seconds a passage, of each kind; 0 until it is tried.
        self.cost, self.seen = [0.0] * len(self.kinds), 0

    def begin(self, known: Floats) -> None:
        """Start from the best scores known so far, float32 ``[Q, k]``, descending, -inf where there is none."""
        self.lower, self.waiting = known.copy(), []

    def floor(self) -> Floats:
        """Return a score that each query's k-th best passage reaches, float32 ``[Q]``."""
        if self.waiting:
            self._raise(*(np.concatenate(parts) for parts in zip(*self.waiting, strict=True)))
            self.waiting = []
        return self.lower[:, -1].copy()

    def candidates(self, vectors: Floats, longest: float) -> Pairs:
        """Return the pairs that may be among the k best: query, row, and the most that its exact score can be."""
        if sum(len(one) for one, _ in self.waiting) >= LAZY * len(self.queries):
            self.floor()
        kind, floor = self._kind(len(vectors)), self.lower[:, -1]
        step = max(SPAN, -(-len(vectors) // self.threads))
        starts = range(0, len(vectors), step)
        self._prepare(kind, len(starts))
        start = time.thread_time()
        with one_thread() if self.threads > 1 else nullcontext():
            parts = list(self._map(kind, [vectors[at : at + step] for at in starts], floor, longest))
        query = np.concatenate([part[0] for part in parts])
        row = np.concatenate([part[1] + at for part, at in zip(parts, starts, strict=True)])
        found = np.concatenate([part[2] for part in parts])
        error = float32_error(self.norms, longest, vectors.shape[1])[query]
        keep = found + error >= floor[query]
        query, row, found, error = query[keep], row[keep], found[keep], error[keep]
        rises = found - error > floor[query]
        self.waiting.append((query[rises], (found - error)[rises]))
        self._learn(kind, (time.thread_time() - start + sum(part[3] for part in parts)) / len(vectors), len(vectors))
        return query, row, found + error

    def _prepare(self, kind: int, pieces: int) -> None:
        """Make a pass for each thread, outside what is timed: the first of a kind may load a library."""
        while len(self.passes[kind]) < min(self.threads, pieces):
            self.passes[kind].append(self.kinds[kind](self.queries, self.norms))

    def _map(
        self, kind: int, pieces: list[Floats], floor: Floats, longest: float
    ) -> Iterator[tuple[Ints, Ints, Floats, float]]:
        workers = min(self.threads, len(pieces))
        if workers == 1:
            yield from ((*self.passes[kind][0].pairs(piece, floor, longest), 0.0) for piece in pieces)
            return
        free = list(self.passes[kind])

        def work(piece: Floats) -> tuple[Ints, Ints, Floats, float]:
            mine, start = free.pop(), time.thread_time()
            try:
                return *mine.pairs(piece, floor, longest), time.thread_time() - start
            finally:
                free.append(mine)

        import torch

        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, pieces)

    def _kind(self, rows: int) -> int:
        """Return the kind that should be fastest for a chunk of so many rows; the first one to begin with."""
        if rows < WORTH or not np.isfinite(self.lower[:, -1]).all():
            return 0
        return int(np.argmin(self.cost))

    def _learn(self, kind: int, cost: float, rows: int) -> None:
        self.seen += rows
        if rows >= WORTH:
            rise = RISE ** np.log2(self.seen / max(self.seen - rows, 1)) if kind == 0 else 1.0
            self.cost = [each * min(FADE, rise) for each in self.cost]
            self.cost[kind] = cost

    def _raise(self, query: npt.NDArray[np.int64], lower: Floats) -> None:
        """Put new lower bounds among each query's k best."""
        if not len(query):
            return
        order = by_query(query)
        query, lower = query[order], lower[order]
        counts = np.bincount(query, minlength=len(self.lower))
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        new = np.full((len(self.lower), int(counts.max())), -np.inf, np.float32)
        new[query, place] = lower
        self.lower = largest(np.concatenate([self.lower, new], axis=1), self.k)


def by_query(query: Ints) -> Ints:
    """Return the order of pairs by query (fewer than 65536), otherwise as they come; two bytes sort by radix."""
    return np.argsort(query.astype(np.uint16), kind="stable")


def largest(values: Floats, k: int) -> Floats:
    """Return the k largest of each row, descending."""
    import torch

    return np.asarray(torch.topk(torch.from_numpy(values), k, dim=1).values.numpy())
