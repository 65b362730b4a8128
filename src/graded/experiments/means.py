"""The interval of a change that is a mean over several directions: all passage languages of one query language, say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from graded.experiments import results


def change(commit: str | None, keys: Iterable[results.Key]) -> tuple[float, float] | None:
    """Return the 95% percentile bootstrap interval of the mean over ``keys`` of (tuned - base); None without the base.

    Queries are resampled: directions that share their queries are drawn together, others apart.
    """
    columns = results.scores(commit)
    groups: dict[tuple[str, ...], list[np.ndarray]] = defaultdict(list)
    for key in keys:
        base = columns.get((*key[:3], "base", key[4]))
        own = columns[key]
        if base is None or base.queries != own.queries:
            return None
        groups[own.queries].append(own.values - base.values)
    count = sum(map(len, groups.values()))
    generator = np.random.default_rng(0)
    total = np.zeros(results.RESAMPLES)
    for queries, changes in groups.items():
        size = len(queries)
        weights = generator.multinomial(size, np.full(size, 1 / size), size=results.RESAMPLES) / size
        total += weights @ np.sum(changes, axis=0) / count
    low, high = np.quantile(total, [0.025, 0.975])
    return float(low), float(high)
