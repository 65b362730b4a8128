"""Which rows make up which step: a pure function of (rows, seed, step), so that a restart needs no state.

Every mode shows the rows of an epoch in a seeded order; the last batch of an epoch (of a language, where batches are
homogeneous) is smaller and counts like the others. Length never decides what is in a batch: it only decides how a
batch's texts are spread over processes and chunks, so no language or length is seen together more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from graded.errors import ParamError, one_of

MODES = ("mixed", "homogeneous", "temperature")


@dataclass(frozen=True)
class Plan:
    """The steps of a training run.

    ``lang`` [R] is each row's language; ``size`` the rows of a step over all processes; ``alpha`` the exponent of
    temperature sampling (language share ~ rows ** alpha); ``steps`` the length of the run, None for ``epochs``.
    """

    lang: np.ndarray
    size: int
    mode: str
    alpha: float
    seed: int
    epochs: int
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ParamError(f"train.batching.mode: {one_of(self.mode, MODES)}")
        object.__setattr__(self, "_cached", lru_cache(maxsize=2)(self._batches))

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch."""
        if self.mode != "homogeneous":
            return -(-len(self.lang) // self.size)
        return int(sum(-(-count // self.size) for count in np.unique(self.lang, return_counts=True)[1]))

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.steps if self.steps is not None else self.epochs * self.per_epoch

    def shown(self, steps: int, pairs: np.ndarray | None = None) -> int:
        """Return the rows that the first ``steps`` steps show; with ``pairs``, the pairs of each row [R], these."""
        each = np.ones(len(self.lang), np.int64) if pairs is None else pairs
        epochs, index = divmod(steps, self.per_epoch)
        rest = self._cached(epochs)[:index] if index else []  # type: ignore[attr-defined]
        if self.mode == "temperature" and pairs is not None:  # an epoch draws other rows of a language than another
            whole = sum(int(each[rows].sum()) for epoch in range(epochs) for rows in self._batches(epoch))
        else:
            whole = epochs * int(each.sum())
        return whole + sum(int(each[rows].sum()) for rows in rest)

    def batch(self, step: int) -> tuple[int, np.ndarray]:
        """Return the epoch of ``step`` (from 0) and its rows, at most ``size``, in an order that means nothing."""
        epoch, index = divmod(step, self.per_epoch)
        return epoch, self._cached(epoch)[index]  # type: ignore[attr-defined]

    def _batches(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng((self.seed, 0, epoch))
        if self.mode == "mixed":
            return self._cut(rng.permutation(len(self.lang)))
        by_language = [rng.permutation(np.flatnonzero(self.lang == lang)) for lang in np.unique(self.lang)]
        if self.mode == "temperature":
            return self._cut(rng.permutation(np.concatenate(self._sampled(by_language))))
        batches = [batch for rows in by_language for batch in self._cut(rows)]
        return [batches[index] for index in rng.permutation(len(batches))]

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[at : at + self.size] for at in range(0, len(rows), self.size)]

    def _sampled(self, by_language: list[np.ndarray]) -> list[np.ndarray]:
        """Resize each language to its share of the epoch: rows of a scarce language recur, others wait their turn."""
        counts = np.array([len(rows) for rows in by_language], dtype=np.float64)
        share = counts**self.alpha / (counts**self.alpha).sum()
        exact = share * counts.sum()
        wanted = np.floor(exact).astype(int)
        for index in np.argsort(-(exact - wanted), kind="stable")[: int(counts.sum()) - wanted.sum()]:
            wanted[index] += 1
        return [np.resize(rows, want) for rows, want in zip(by_language, wanted, strict=True)]


def spread(weights: np.ndarray, parts: int) -> list[np.ndarray]:
    """Deal the items to ``parts`` processes so that each gets about the same weight (tokens) and count.

    Heaviest first, back and forth (0 1 2 2 1 0 ...); returns each process's item numbers, ascending.
    """
    order = np.argsort(-weights, kind="stable")
    lap = np.concatenate([np.arange(parts), np.arange(parts)[::-1]])
    owner = np.resize(lap, len(order))
    return [np.sort(order[owner == part]) for part in range(parts)]
