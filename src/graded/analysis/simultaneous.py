"""Every pair of arms on the same queries, with intervals that hold for all pairs at once.

Sources: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 12 (the bootstrap-t); Westfall and Young
1993, "Resampling-Based Multiple Testing" (the maximum over all pairs, which keeps the error of the whole family);
Satterthwaite 1946 (degrees of freedom of a sum of variances).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from graded.errors import DataError


class Noise(NamedTuple):
    """Variance of an arm's mean score between training seeds, and the degrees of freedom of that estimate."""

    variance: float = 0.0
    freedom: int = 0

    def with_seeds(self, values: np.ndarray) -> Noise:
        """Return the estimate pooled with one more arm; ``values`` float [seeds, Q]."""
        means = values.mean(axis=1)
        freedom = self.freedom + len(means) - 1
        if freedom == 0:
            return self
        return Noise((self.variance * self.freedom + float(np.square(means - means.mean()).sum())) / freedom, freedom)


class Comparison(NamedTuple):
    """All pairs of arms; arrays are indexed by the order of ``arms``.

    ``gap`` float [A, A], row minus column; ``margin`` float [A, A], half the width of its interval; ``leads`` float
    [A], the share of query draws in which the arm has the highest mean; ``noise`` of training, as far as known.
    """

    arms: tuple[str, ...]
    means: np.ndarray
    gap: np.ndarray
    margin: np.ndarray
    leads: np.ndarray
    noise: Noise


def compare(
    scores: Mapping[str, np.ndarray],
    *,
    seed: int,
    confidence: float = 0.95,
    looks: int = 1,
    resamples: int = 10_000,
    noise: Noise = Noise(),  # noqa: B008  (frozen)
) -> Comparison:
    """Compare every pair of arms on the same queries, with intervals that hold for all pairs at once.

    Without training noise the interval of a pair is gap +- c * se, where se is the standard error of the pair's
    per-query differences and c the bootstrap quantile of max over pairs of |gap* - gap| / se*, queries drawn jointly
    for all arms. Training noise of variance v adds v (1/S_a + 1/S_b) to se squared, S being the seeds of an arm, and c
    grows as Student's t does when the degrees of freedom fall to Satterthwaite's.

    Args:
        scores: arm -> float [Q], or float [seeds, Q]; values in [0, 1], the queries in the same order for every arm.
        seed: of the draws.
        confidence: of all intervals of all ``looks`` together.
        looks: how often one race may look; each look gets an equal share of the error.
        resamples: bootstrap draws.
        noise: what earlier looks showed of the noise of training.

    Raises:
        DataError: fewer than two arms, fewer than two queries, or arms with different numbers of queries.
    """
    arms = tuple(scores)
    runs = [np.atleast_2d(np.asarray(scores[arm], dtype=np.float64)) for arm in arms]
    widths = sorted({one.shape[1] for one in runs})
    if len(arms) < 2 or len(widths) != 1 or widths[0] < 2:
        raise DataError(f"calibrate: received {len(arms)} arms of {widths} queries; expected two or more of each")
    for one in runs:
        noise = noise.with_seeds(one)
    values = np.stack([one.mean(axis=0) for one in runs])
    first, second = np.triu_indices(len(arms), 1)
    gaps = values[first] - values[second]
    level = (1 - confidence) / looks
    critical, leads = _bootstrap(values, gaps, level, resamples, np.random.default_rng(seed))
    seeds = np.array([len(one) for one in runs])
    trained = noise.variance * (1 / seeds[first] + 1 / seeds[second])
    asked = gaps.var(axis=1, ddof=1) / widths[0]
    margin = np.zeros((len(arms), len(arms)))
    width = np.minimum(critical * _heavier(asked, trained, widths[0] - 1, noise.freedom, level), 2.0)
    margin[first, second] = margin[second, first] = width
    means = values.mean(axis=1)
    return Comparison(arms, means, means[:, None] - means[None, :], margin, leads, noise)


def _bootstrap(
    values: np.ndarray, gaps: np.ndarray, level: float, resamples: int, generator: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Return the critical value of the pairs' largest bootstrap t, and each arm's share of draws that it leads."""
    queries = values.shape[1]
    gap = gaps.mean(axis=1)
    highest, leads = np.empty(resamples), np.zeros(len(values))
    batch = max(1, 4_000_000 // queries)
    for start in range(0, resamples, batch):
        draws = min(batch, resamples - start)
        weights = generator.multinomial(queries, np.full(queries, 1 / queries), size=draws) / queries
        means = weights @ values.T
        ahead = means >= means.max(axis=1, keepdims=True) - 1e-12
        leads += (ahead / ahead.sum(axis=1, keepdims=True)).sum(axis=0)
        drawn = weights @ gaps.T
        variance = np.maximum(weights @ np.square(gaps).T - np.square(drawn), 0.0) / (queries - 1)
        away = np.abs(drawn - gap)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(away < 1e-12, 0.0, away / np.sqrt(variance))
        highest[start : start + draws] = ratio.max(axis=1)
    # A draw without any spread makes an infinite t; no gap of scores in [0, 1] needs a wider interval than its range.
    critical = float(np.quantile(highest, 1 - level, method="higher"))
    return min(critical, 1e9), leads / resamples


def _heavier(asked: np.ndarray, trained: np.ndarray, queries: int, seeds: int, level: float) -> np.ndarray:
    """Return each pair's standard error, widened by the ratio of t quantiles with and without training noise.

    ``asked`` and ``trained`` are the two variances of each pair's gap; ``queries`` and ``seeds`` their degrees of
    freedom.
    """
    from scipy.stats import t

    total = asked + trained
    tail = 1 - level / (2 * len(asked))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.square(total) / (np.square(asked) / queries + np.square(trained) / max(seeds, 1))
    freedom = np.where(total > 0, freedom, queries)
    return np.sqrt(total) * t.ppf(tail, np.minimum(freedom, queries)) / t.ppf(tail, queries)
