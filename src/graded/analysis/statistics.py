"""Bootstrap over clusters, exact and cheap where many clusters look alike.

The pairs of one query are not independent of one another, so a query is drawn with all of its pairs (cluster
bootstrap: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8). A query enters only
through its row of counts, and queries with equal rows need not be told apart: drawing Q queries with replacement is
drawing from the multinomial over the different rows, which makes a language of 100,000 queries a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Random numbers drawn at once; bounds the memory at about 8 bytes each.
DRAWS = 4_000_000


class Interval(NamedTuple):
    """A value and the ends of its percentile interval; all NaN where the value is not defined."""

    value: float
    low: float
    high: float


def bootstrap(
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    statistic: Callable[[Floats], Floats],
    *,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    """Return ``statistic`` of the sum over all clusters, with its percentile interval over resampled clusters.

    Args:
        rows: int [U, C], the different rows of counts that clusters have.
        times: int [U], how many clusters have each.
        statistic: from float [..., C] sums of rows to float [...]; NaN where it is not defined.
        seed: of the draws.
        resamples: bootstrap draws; those where the statistic is NaN are left out of the interval.
        confidence: of the interval, in (0, 1).
    """
    clusters = int(times.sum())
    if clusters == 0:
        return Interval(np.nan, np.nan, np.nan)
    value = float(statistic((times[:, None] * rows).sum(axis=0).astype(np.float64)))
    if np.isnan(value):
        return Interval(np.nan, np.nan, np.nan)
    random = np.random.default_rng(seed)
    found = []
    left = resamples
    while left:
        count = min(left, max(1, DRAWS // len(times)))
        drawn = random.multinomial(clusters, times / clusters, size=count)
        found.append(statistic(drawn.astype(np.float64) @ rows.astype(np.float64)))
        left -= count
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(found), [tail, 1 - tail])
    return Interval(value, float(low), float(high))
