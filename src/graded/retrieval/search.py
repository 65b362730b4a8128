"""Exact top-k over a stream of shards: multiply, keep what can still matter, rescore that, drop the shard.

The score of a pair is its inner product, rounded to float64 and then to float32. It is a function of the two vectors
alone: neither the order nor the size of the shards, nor the number of processes, nor the processor and the order in
which it adds can change it, so the result is the same to the last bit however the corpus is cut.

A full product in float64 would be slow. A first pass (``search_product``) computes every pair cheaply with an error
of at most ``e`` (a bound that is proved, not measured). A passage whose cheap score plus ``e`` stays below the k-th
best score known so far cannot be among the k best; everything else is rescored. The k-th best rises quickly, so
that from the second shard on about one pair in a thousand is.

Ties: score descending, then doc_id descending, as trec_eval orders a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graded.errors import DataError, ParamError
from graded.retrieval.search_device import DeviceProduct
from graded.retrieval.search_product import Product, by_query, make_product

Floats = npt.NDArray[np.float32]

#: Queries a block and passages a first-pass product; their scores (32 MB) are the largest thing held.
BLOCK, CHUNK = 1024, 8192
#: Pairs waiting for rescoring, at most; beyond them a block is settled early.
PENDING = 2_000_000
#: Elements of the pairs rescored at a time: few enough to stay near the core.
RESCORE = 24576
#: Elements from which on loading numba pays.
MANY = 10_000_000


@dataclass(frozen=True)
class Hits:
    """The best passages of each query, best first.

    Attributes:
        ids: doc_ids of each query; fewer than k where the corpus is smaller.
        scores: float32 ``[Q, k]``, -inf where there is no passage.
    """

    ids: list[list[str]]
    scores: Floats

    def take(self, rows: Sequence[int]) -> Hits:
        """Return the hits of these queries, by their numbers, in this order."""
        return Hits([self.ids[row] for row in rows], self.scores[list(rows)])


class Search:
    """A running top-k of ``queries`` (float32 ``[Q, dim]``) over shards that come and go.

    Raises:
        ParamError: k is below 1, or the first pass or device is not one of those there are.
        DataError: vectors are not two-dimensional, not finite, or of another width; or ids are not one a vector.
    """

    def __init__(self, queries: Floats, k: int, *, first_pass: str = "auto", device: str = "cpu") -> None:
        if k < 1:
            raise ParamError(f"k: received {k}; expected a whole number from 1 up")
        self.queries, self.k = _vectors(queries, "queries", None), k
        self.first_pass, self.device = first_pass, device
        _longest(self.queries, "queries")
        count = len(self.queries)
        self.scores = np.full((count, k), -np.inf, np.float32)
        self.ids = np.full((count, k), "", object)
        self._blocks: dict[int, Product | DeviceProduct] = {}

    def add(self, ids: Sequence[str], vectors: Floats) -> None:
        """Search one shard, float32 ``[n, dim]`` and a doc_id a row; nothing of it is kept but the winners' ids."""
        vectors = _vectors(vectors, "passages", self.queries.shape[1])
        longest = _longest(vectors, "passages")
        if len(ids) != len(vectors):
            raise DataError(f"received {len(ids)} doc_ids for {len(vectors)} vectors; expected one each")
        if not len(ids) or not len(self.queries):
            return
        names = np.array(ids, object)
        for start in range(0, len(self.queries), BLOCK):
            if start not in self._blocks:
                block = self.queries[start : start + BLOCK]
                self._blocks[start] = make_product(block, self.k, self.first_pass, self.device)
            self._search_block(start, names, vectors, longest)

    def _search_block(self, start: int, names: npt.NDArray[np.object_], vectors: Floats, longest: float) -> None:
        stop, product = min(start + BLOCK, len(self.queries)), self._blocks[start]
        product.begin(self.scores[start:stop])
        waiting: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]] = []
        count, at, size = 0, 0, CHUNK if np.isfinite(product.floor()).all() else min(CHUNK, max(4 * self.k, 256))
        while at < len(vectors):
            end = min(at + size, len(vectors))
            query, row, upper = product.candidates(vectors[at:end], longest)
            waiting.append((query, row + at, upper))
            count += len(query)
            at, size = end, min(2 * size, CHUNK)
            if count > PENDING or at == len(vectors):
                self._settle(start, stop, product.floor(), waiting, names, vectors)
                product.begin(self.scores[start:stop])
                waiting, count = [], 0

    def _settle(
        self,
        start: int,
        stop: int,
        floor: Floats,
        waiting: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]],
        names: npt.NDArray[np.object_],
        vectors: Floats,
    ) -> None:
        query, row, upper = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        keep = upper >= floor[query]
        query, row = query[keep], row[keep]
        scores = exact_scores(self.queries[start:stop], query, vectors, row)
        keep = scores >= self.scores[start:stop, -1][query]
        query, row, scores = query[keep], row[keep], scores[keep]
        if not len(query):
            return
        order = by_query(query)
        query, row, scores = query[order], row[order], scores[order]
        counts = np.bincount(query, minlength=stop - start)
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        width = int(counts.max())
        new_scores = np.full((stop - start, width), -np.inf, np.float32)
        new_ids = np.full((stop - start, width), "", object)
        new_scores[query, place], new_ids[query, place] = scores, names[row]
        self.scores[start:stop], self.ids[start:stop] = best(
            np.concatenate([self.scores[start:stop], new_scores], axis=1),
            np.concatenate([self.ids[start:stop], new_ids], axis=1),
            self.k,
        )

    def hits(self) -> Hits:
        """Return what is best of all that was added."""
        known = np.isfinite(self.scores).sum(axis=1)
        return Hits([list(row[:count]) for row, count in zip(self.ids, known, strict=True)], self.scores.copy())


def top_k(
    queries: Floats,
    shards: Iterable[tuple[Sequence[str], Floats]],
    k: int,
    *,
    first_pass: str = "auto",
) -> Hits:
    """Return the k passages with the largest inner products for each query; exact, one shard in memory.

    Args:
        queries: float32 ``[Q, dim]``.
        shards: doc_ids and float32 ``[n, dim]`` vectors; consumed once.
        k: passages a query.
        first_pass: ``auto`` (the fastest on a CPU) or one of ``search_product.FIRST_PASSES``. It changes the time,
            never the result.

    Raises:
        ParamError, DataError: as :class:`Search`.
    """
    search = Search(queries, k, first_pass=first_pass)
    for ids, vectors in shards:
        search.add(ids, vectors)
    return search.hits()


def exact_scores(queries: Floats, query: npt.NDArray[np.int64], vectors: Floats, row: npt.NDArray[np.int64]) -> Floats:
    """Return the inner products of ``queries[query]`` and ``vectors[row]``, rounded to float64 and then to float32.

    Products of float32 numbers are exact in float64, and a sum of d of them is off by less than ``d 2^-52`` of the sum
    of their absolute values, in any order (Higham, section 4.2). Where both ends of that range round to one float32,
    that is the score; elsewhere, at a few in a million, the products are summed exactly.
    """
    sums, sizes = _sums(queries, query, vectors, row)
    sizes *= queries.shape[1] * 2.0**-52
    scores = (sums - sizes).astype(np.float32)
    for pair in np.flatnonzero(scores != (sums + sizes).astype(np.float32)):
        parts = queries[query[pair]].astype(np.float64) * vectors[row[pair]]
        scores[pair] = math.fsum(parts.tolist()) if np.isfinite(sums[pair]) else sums[pair]
    return scores


def _sums(
    queries: Floats, query: npt.NDArray[np.int64], vectors: Floats, row: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the inner products of pairs and those of absolute values, float64; by numba where they are many."""
    sums, sizes = np.empty(len(query)), np.empty(len(query))
    if len(query) * queries.shape[1] > MANY:
        from graded.retrieval.search_kernels import products

        products(queries, np.ascontiguousarray(query), vectors, np.ascontiguousarray(row), sums, sizes)
        return sums, sizes
    step = max(1, RESCORE // queries.shape[1])
    for at in range(0, len(query), step):
        part = slice(at, at + step)
        left = queries[query[part]].astype(np.float64)
        np.multiply(left, vectors[row[part]], out=left)
        sums[part], sizes[part] = left.sum(axis=1), np.abs(left).sum(axis=1)
    return sums, sizes


def best(scores: Floats, ids: npt.NDArray[np.object_], k: int) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Return the k best columns of each row, by score descending, then doc_id descending (trec_eval's rule).

    -inf marks an empty place. Equal scores are rare; the rows that have them are sorted again with their ids.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    head = ranked[:, : k + 1]
    tied = ((head[:, 1:] == head[:, :-1]) & np.isfinite(head[:, 1:])).any(axis=1)
    for index in np.flatnonzero(tied):
        columns = [int(column) for column in order[index] if scores[index, column] > -np.inf]
        columns.sort(key=lambda column: (scores[index, column], ids[index, column]), reverse=True)
        order[index, : len(columns)] = columns
    order = order[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)


def _vectors(vectors: Floats, what: str, width: int | None) -> Floats:
    if vectors.ndim != 2 or (width is not None and vectors.shape[1] != width):
        raise DataError(f"{what}: received vectors of shape {list(vectors.shape)}; expected [n, {width or 'dim'}]")
    return np.require(vectors, np.float32, ["C", "W"])


def _longest(vectors: Floats, what: str) -> float:
    """Return the largest norm of a row, 0 where there is none.

    Raises:
        DataError: a row is not finite, or so long that its norm is not.
    """
    import torch

    longest = float(torch.linalg.vector_norm(torch.from_numpy(vectors), dim=1).max()) if len(vectors) else 0.0
    if not np.isfinite(longest):
        raise DataError(f"{what}: a vector is not finite (NaN or infinity); check the encoder's dtype")
    return longest
