"""Rows: what one training example is for each objective, and what an epoch draws from it.

InfoNCE: a row is one positive pair. BiXSE: a row is one graded pair, whatever its grade. The multi-positive
objectives and Rand1LH: a row is a query with its positives, of which an epoch draws up to ``positives``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graded.errors import DataError
from graded.retrieval.training.objectives import MULTIPLE
from graded.retrieval.training.pairs import Pairs


@dataclass(frozen=True)
class Rows:
    """Training rows, R of them: row r is ``query[r]`` with the pairs ``start[r]:start[r + 1]`` of ``pair``.

    ``take``: at most so many of a row's pairs are drawn in an epoch. ``dropped``: queries without a positive.
    """

    query: np.ndarray
    start: np.ndarray
    pair: np.ndarray
    lang: np.ndarray
    take: int
    dropped: int

    def __len__(self) -> int:
        return len(self.query)

    @property
    def pairs(self) -> np.ndarray:
        """How many pairs of each row an epoch shows [R]."""
        return np.minimum(np.diff(self.start), self.take)

    def draw(self, row: int, epoch: int, seed: int) -> np.ndarray:
        """Return the pairs of ``row`` that ``epoch`` shows, in file order; the same for the same arguments."""
        pairs = self.pair[self.start[row] : self.start[row + 1]]
        if len(pairs) <= self.take:
            return pairs
        chosen = np.random.default_rng((seed, 1, epoch, row)).choice(len(pairs), self.take, replace=False)
        return pairs[np.sort(chosen)]


def make_rows(pairs: Pairs, objective: str, positives: int) -> Rows:
    """Return the rows of ``objective``; ``positives`` bounds a query's positives in one batch.

    Raises:
        DataError: no pair is a positive, so there is nothing to train on.
    """
    chosen = np.arange(len(pairs)) if objective == "bixse" else np.flatnonzero(pairs.positive)
    if not len(chosen):
        raise DataError("no pair reaches tau, so there is nothing to train on; lower tau: dvc exp run -S tau=1")
    dropped = len(pairs.queries) - len(np.unique(pairs.query[chosen]))
    if objective in MULTIPLE or objective == "rand1lh":
        query, start = np.unique(pairs.query[chosen], return_index=True)
        start = np.append(start, len(chosen))
        take = positives if objective in MULTIPLE else 1
    else:
        query, start, take = pairs.query[chosen], np.arange(len(chosen) + 1), 1
    return Rows(query, start, chosen, pairs.query_lang[query], take, dropped)


def known_relevant(pairs: Pairs, objective: str, *, drop_middle: bool) -> list[np.ndarray]:
    """Return for each query the passages that must not be its negatives: its positives.

    For BiXSE everything graded above 0; with ``drop_middle`` likewise, so that passages below tau but not at 0 are
    neither positives nor negatives.
    """
    keep = pairs.grade > 0 if objective == "bixse" or drop_middle else pairs.positive
    keep = keep | pairs.positive
    query, passage = pairs.query[keep], pairs.passage[keep]
    return np.split(passage, np.searchsorted(query, np.arange(1, len(pairs.queries))))
