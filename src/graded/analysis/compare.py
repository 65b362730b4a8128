"""Two systems on the same queries: difference, its bootstrap interval, a paired randomisation test, Holm's correction.

Sources: Smucker, Allan and Carterette 2007, "A Comparison of Statistical Significance Tests for Information Retrieval
Evaluation" (the randomisation test: under the null hypothesis each query's difference could as well have the other
sign); Efron 1979 (percentile bootstrap over queries); Holm 1979, "A simple sequentially rejective multiple test
procedure".
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from graded.errors import DataError

K = TypeVar("K")
#: A corrected p below this counts as more than noise.
LEVEL = 0.05


class Difference(NamedTuple):
    """Mean of (ours - theirs) over queries, the ends of its interval, and the two-sided p of the paired test."""

    mean: float
    low: float
    high: float
    p: float
    queries: int


def difference(
    ours: np.ndarray, theirs: np.ndarray, *, seed: int, resamples: int = 10_000, confidence: float = 0.95
) -> Difference:
    """Compare two systems on the same queries.

    Args:
        ours: float [Q], one value a query.
        theirs: float [Q], of the same queries in the same order.
        seed: of the random signs and draws.
        resamples: random sign assignments and bootstrap draws; all 2^Q sign assignments where those are fewer.
        confidence: of the interval, in (0, 1).

    Raises:
        DataError: the two do not have the same number of queries, or have none.
    """
    if ours.shape != theirs.shape or ours.ndim != 1 or ours.size == 0:
        raise DataError(f"compare: received {ours.shape} and {theirs.shape} queries; expected the same, one at least")
    gaps = np.asarray(ours, dtype=np.float64) - theirs
    mean = float(gaps.mean())
    if gaps.size == 1 or not gaps.any():
        # One query has two sign assignments, both as far from zero as the other.
        return Difference(mean, mean, mean, 1.0, gaps.size)
    from scipy import stats

    batch = max(1, 2_000_000 // gaps.size)
    test = stats.permutation_test(
        (gaps,), _mean, permutation_type="samples", vectorized=True, n_resamples=resamples, batch=batch, rng=seed
    )
    interval = stats.bootstrap(
        (gaps,),
        _mean,
        method="percentile",
        vectorized=True,
        n_resamples=resamples,
        batch=batch,
        confidence_level=confidence,
        rng=seed,
    ).confidence_interval
    return Difference(mean, float(interval.low), float(interval.high), float(test.pvalue), gaps.size)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Return each p adjusted by Holm's procedure over all of ``p_values``: at most 1, in the same order, same keys."""
    adjusted: dict[K, float] = {}
    running = 0.0
    for place, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[key]))
        adjusted[key] = running
    return {key: adjusted[key] for key in p_values}


def holm_within(p_values: Mapping[K, float], family: Callable[[K], Hashable]) -> dict[K, float]:
    """Return each p adjusted by :func:`holm` over those whose key has the same ``family``."""
    families: dict[Hashable, dict[K, float]] = {}
    for key, p in p_values.items():
        families.setdefault(family(key), {})[key] = p
    return {key: p for one in families.values() for key, p in holm(one).items()}


def _mean(gaps: np.ndarray, axis: int) -> np.ndarray:
    # Rounded, so that sign assignments that tie with the observed mean do so in every order of addition.
    return np.round(gaps.mean(axis=axis), 12)
