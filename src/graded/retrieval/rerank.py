"""Scores of the passages that are listed for each query, and of no others: CLIRMatrix's re-ranking protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graded.errors import DataError
from graded.retrieval.search import Floats, Hits, exact_scores


def listing(listed: Sequence[Sequence[str] | None]) -> dict[str, list[int]]:
    """Return doc_id -> the numbers of the queries that list it; None lists nothing."""
    found: dict[str, list[int]] = {}
    for query, ids in enumerate(listed):
        for doc_id in ids or ():
            found.setdefault(doc_id, []).append(query)
    return found


class Listed:
    """A running ranking of listed passages over shards that come and go, as :class:`graded.retrieval.search.Search`.

    Scores are those of :mod:`graded.retrieval.search`, to the last bit, and so are ties.

    Args:
        queries: float32 ``[Q, dim]``.
        k: passages a query, at most.
        askers: doc_id -> the numbers of the queries that list it.
    """

    def __init__(self, queries: Floats, k: int, askers: Mapping[str, Sequence[int]]) -> None:
        self.queries, self.k, self.askers = queries, k, askers
        self.found: list[list[tuple[float, str]]] = [[] for _ in queries]

    def add(self, ids: Sequence[str], vectors: Floats) -> None:
        """Score what is listed of one shard, float32 ``[n, dim]`` and a doc_id a row.

        Raises:
            DataError: a score is not finite.
        """
        pairs = [(query, row) for row, doc_id in enumerate(ids) for query in self.askers.get(doc_id, ())]
        if not pairs:
            return
        query, row = np.array(pairs, np.int64).T
        scores = exact_scores(self.queries, query, vectors, row)
        if not np.isfinite(scores).all():
            raise DataError("listed passages: a score is not finite (NaN or infinity); check the encoder's dtype")
        for (asker, place), score in zip(pairs, scores.tolist(), strict=True):
            self.found[asker].append((score, ids[place]))

    def hits(self) -> Hits:
        """Return each query's listed passages, best first, ties by doc_id descending; none where none was seen."""
        best = [sorted(found, reverse=True)[: self.k] for found in self.found]
        scores = np.full((len(best), self.k), -np.inf, np.float32)
        for query, found in enumerate(best):
            scores[query, : len(found)] = [score for score, _ in found]
        return Hits([[doc_id for _, doc_id in found] for found in best], scores)
