"""Approximate search by faiss, for look-ups in use: fast to ask, whole corpus in memory, some of the best are missed.

Never behind a reported score unless the run's tag says so; :mod:`graded.retrieval.search` is the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from graded.errors import ParamError, one_of
from graded.retrieval.search import Hits, best

Floats = npt.NDArray[np.float32]

KINDS = ("hnsw", "ivf")


class ApproximateSearch:
    """Collects shards into a faiss index; :meth:`hits` asks it.

    ``hnsw``: a graph with 32 links a passage, 200 candidates at construction, and max(4k, 200) in search.
    ``ivf``: lists around 4 sqrt(n) centres learnt from the passages, of which a 32nd (16 at least) are read.

    Raises:
        ParamError: another kind.
    """

    def __init__(self, queries: Floats, k: int, kind: str) -> None:
        if kind not in KINDS:
            raise ParamError(f"index: {one_of(kind, ('exact', *KINDS))}")
        self.queries, self.k, self.kind = queries, k, kind
        self.ids: list[str] = []
        self.parts: list[Floats] = []

    def add(self, ids: Sequence[str], vectors: Floats) -> None:
        """Keep one shard, float32 ``[n, dim]`` and a doc_id a row."""
        self.ids += ids
        self.parts.append(vectors)

    def hits(self) -> Hits:
        """Build the index and return what it finds: ties by doc_id descending, as everywhere."""
        if not self.ids or not len(self.queries):
            return Hits([[] for _ in self.queries], np.full((len(self.queries), self.k), -np.inf, np.float32))
        index = self._build(self.queries.shape[1])
        scores, rows = index.search(self.queries, min(self.k, len(self.ids)))
        scores[rows < 0] = -np.inf
        names = np.array([*self.ids, ""], object)[rows]
        if scores.shape[1] < self.k:
            wider = ((0, 0), (0, self.k - scores.shape[1]))
            scores, names = np.pad(scores, wider, constant_values=-np.inf), np.pad(names, wider, constant_values="")
        scores, names = best(scores, names, self.k)
        known = np.isfinite(scores).sum(axis=1)
        return Hits([list(row[:count]) for row, count in zip(names, known, strict=True)], scores)

    def _build(self, dim: int) -> Any:
        import faiss

        if self.kind == "hnsw":
            index: Any = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction, index.hnsw.efSearch = 200, max(4 * self.k, 200)
        else:
            lists = max(1, min(int(4 * len(self.ids) ** 0.5), len(self.ids) // 39))
            index = faiss.index_factory(dim, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
            index.train(np.concatenate(self.parts)[: 256 * lists])
            index.nprobe = min(lists, max(16, lists // 32))
        while self.parts:
            index.add(self.parts.pop(0))
        return index
