"""95% bootstrap intervals over queries for what the figures and tables show.

Source: Efron 1979, percentile bootstrap. All draws of one call share the same resampled queries, so the interval of a
relative change is that of two systems on the same queries.
"""

from __future__ import annotations

import numpy as np

from graded.analysis.statistics import Interval
from graded.errors import DataError

#: Resampled query sets; the ends of a 95% interval then vary by about 2% of its width.
DRAWS = 2000
#: Memory of one block of draws, in values.
BLOCK = 4_000_000


def mean(values: np.ndarray, *, seed: int = 0, draws: int = DRAWS) -> Interval:
    """Return the mean of ``values`` (float [Q]) and its interval.

    Raises:
        DataError: there is no query.
    """
    values = np.asarray(values, dtype=np.float64)
    means = _draw(values[None, :], seed, draws)[0]
    return _ends(float(values.mean()), means)


def relative(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Return (mean(ours) - mean(theirs)) / mean(theirs) in percent, with its paired interval.

    Args:
        ours: float [Q], one value a query.
        theirs: float [Q], of the same queries in the same order.

    Raises:
        DataError: the two differ in their number of queries, have none, or ``theirs`` has the mean 0.
    """
    pair = np.stack([np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)])
    if pair[1].mean() == 0:
        raise DataError("relative change: the value compared against is 0 for every query; there is nothing to relate")
    drawn = _draw(pair, 0, DRAWS)
    drawn = drawn[:, drawn[1] != 0]
    return _ends(float(pair[0].mean() / pair[1].mean() - 1) * 100, (drawn[0] / drawn[1] - 1) * 100)


def _draw(values: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Return the means [systems, draws] of ``values`` [systems, Q] over resampled queries."""
    queries = values.shape[1]
    if queries == 0:
        raise DataError("interval: received no query; expected one at least")
    generator = np.random.default_rng(seed)
    parts = []
    for start in range(0, draws, step := max(1, BLOCK // queries)):
        picks = generator.integers(0, queries, size=(min(step, draws - start), queries))
        parts.append(values[:, picks].mean(axis=2))
    return np.concatenate(parts, axis=1)


def _ends(value: float, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
