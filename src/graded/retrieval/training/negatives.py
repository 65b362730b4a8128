"""Explicit negatives of a query: its own below tau, mined ones (:mod:`graded.retrieval.training.mining`), random ones.

The share of mined ones is the experiment of Zhang et al. 2022, Towards Best Practices for Training Multilingual Dense
Retrieval Models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graded.formats.table import read_rows
from graded.records import passage_text
from graded.retrieval.training.pairs import Pairs, Texts


class Counts(NamedTuple):
    """How many negatives were drawn: graded below tau, mined, in all; ``wanted`` mined ones, and in all ``asked``."""

    below_tau: int = 0
    mined: int = 0
    drawn: int = 0
    wanted: int = 0
    asked: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return Counts(*(one + more for one, more in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Negatives:
    """Where each query's negatives are drawn from, as numbers into the passages.

    ``front`` lists for each query what is drawn first (its passages below tau, or nothing); ``mined`` [queries, p]
    holds its mined candidates, best first, -1 behind the last; ``pool`` lists for each language all its passages, and
    ``banned`` for each query those that must not be drawn (nor any of equal text: see ``keys``, the passages' text
    hashes). An epoch draws ``per_query``; of those that ``front`` leaves, the share ``share`` comes from ``mined``.
    """

    front: list[np.ndarray]
    mined: np.ndarray
    pool: list[np.ndarray]
    query_lang: np.ndarray
    banned: list[np.ndarray]
    keys: np.ndarray
    per_query: int
    share: float
    seed: int

    def draw(self, query: int, row: int, epoch: int, own: np.ndarray) -> tuple[np.ndarray, Counts]:
        """Return ``per_query`` passages of distinct texts for ``row``, whose query is ``query``, and what they are.

        None has the text of a banned passage or of ``own``, the passages that the row brings itself. There are fewer
        where the language has no more.
        """
        rng = np.random.default_rng((self.seed, 2, epoch, row))
        taken = {*self.keys[self.banned[query]].tolist(), *self.keys[own].tolist()}
        chosen: list[int] = []
        self._take(rng.permutation(self.front[query]), self.per_query, taken, chosen)
        front = len(chosen)
        exact = self.share * (self.per_query - front)
        wanted = int(exact) + int(rng.random() < exact - int(exact))
        mined = self.mined[query][self.mined[query] >= 0]
        mined = mined[[int(key) not in taken for key in self.keys[mined]]] if wanted else mined[:0]
        there = min(wanted, len(mined))
        if there:
            self._take(rng.choice(mined, there, replace=False), self.per_query, taken, chosen)
        found = len(chosen) - front
        pool = self.pool[self.query_lang[query]]
        rest = rng.permutation(pool) if len(pool) <= 256 else _drawn(rng, pool, 64 + 4 * self.per_query)
        self._take(rest, self.per_query, taken, chosen)
        return np.array(chosen, np.int64), Counts(front, found, len(chosen), wanted, self.per_query)

    def _take(self, numbers: np.ndarray, most: int, taken: set[int], chosen: list[int]) -> None:
        """Add ``numbers`` of texts that are not ``taken`` to ``chosen`` until it holds ``most``."""
        for number in numbers:
            if len(chosen) >= most:
                return
            if int(self.keys[number]) not in taken:
                taken.add(int(self.keys[number]))
                chosen.append(int(number))


def _drawn(rng: np.random.Generator, pool: np.ndarray, count: int) -> np.ndarray:
    return pool[rng.integers(0, len(pool), count)]


def pools(pairs: Pairs, folder: Path) -> tuple[Texts, list[np.ndarray]]:
    """Return all passages (the pairs' first, then the sample's others) and each language's numbers into them.

    Raises:
        MissingError, DataError: ``folder`` lacks a language's file, or it is no table of passages.
    """
    number = {name: index for index, name in enumerate(pairs.doc_ids)}
    ids: list[str] = []
    texts: list[str] = []
    found = []
    for lang in pairs.languages:
        numbers = []
        for doc_id, title, text in read_rows(folder / f"{lang}.parquet", "doc_id", "title", "text"):
            name = (lang, str(doc_id))
            if name not in number:
                number[name] = len(number)
                ids.append(pairs.identity(lang, str(doc_id)))
                texts.append(passage_text(title or "", text))
            numbers.append(number[name])
        found.append(np.array(sorted(numbers), np.int64))
    return pairs.passages.extended(ids, texts), found


def below_tau(pairs: Pairs, *, drop_middle: bool) -> list[np.ndarray]:
    """Return for each query its passages graded below tau (only those at 0 with ``drop_middle``)."""
    chosen = ~pairs.positive & ((pairs.grade == 0) | (not drop_middle))
    query, passage = pairs.query[chosen], pairs.passage[chosen]
    return np.split(passage, np.searchsorted(query, np.arange(1, len(pairs.queries))))
