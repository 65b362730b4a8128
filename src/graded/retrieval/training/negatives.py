"""Explicit negatives of a query: mined from the base encoder's ranking, and random ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Negatives:
    """Where each query's negatives are drawn from, as numbers into the passages.

    ``mined`` [queries, p] holds a query's mined candidates, best first, -1 behind the last; ``pool`` lists for each
    language all its passages, and ``banned`` for each query those that must not be drawn. An epoch draws ``per_query``
    of them, the share ``share`` of these from ``mined``.
    """

    mined: np.ndarray
    pool: list[np.ndarray]
    query_lang: np.ndarray
    banned: list[np.ndarray]
    per_query: int
    share: float
    seed: int

    def draw(self, query: int, row: int, epoch: int) -> np.ndarray:
        """Return ``per_query`` passages for ``row``, whose query is ``query``; fewer where the pool is smaller."""
        rng = np.random.default_rng((self.seed, 2, epoch, row))
        mined = self.mined[query]
        mined = mined[mined >= 0]
        wanted = min(int(rng.random() + self.share * self.per_query), len(mined), self.per_query)
        chosen = rng.choice(mined, wanted, replace=False) if wanted else mined[:0]
        pool = np.setdiff1d(self.pool[self.query_lang[query]], np.concatenate([self.banned[query], chosen]))
        rest = rng.choice(pool, min(self.per_query - wanted, len(pool)), replace=False)
        return np.concatenate([chosen, rest])
