"""What stands behind a metric's name: ``nDCG@10-pool`` where a pool was searched, ``-hnsw`` or ``-ivf`` behind that.

The stage evaluate names metrics so, and every reader of results has to find them: the metric that is asked for is
``nDCG@10``, the results of a set may hold it under any of these names. BM25 is exact, so beside an approximate index it
keeps the name without one.
"""

from __future__ import annotations

from collections.abc import Iterable

#: A pool was searched, not the collection.
POOL = "-pool"
#: Indexes that miss some passages, and what they are called.
INDEXES = {"-hnsw": "HNSW", "-ivf": "IVF"}


def exact(metric: str) -> str:
    """Return a metric's name without that of an approximate index: ``nDCG@10-pool`` of ``nDCG@10-pool-hnsw``."""
    return next((metric.removesuffix(index) for index in INDEXES if metric.endswith(index)), metric)


def plain(metric: str) -> str:
    """Return a metric's name alone: ``nDCG@10`` of ``nDCG@10-pool-hnsw``."""
    return exact(metric).removesuffix(POOL)


def forms(metric: str) -> tuple[str, ...]:
    """Return the names under which results may hold ``metric``: itself first, then those that add an ending to it."""
    name = plain(metric)
    every = (name + pool + index for pool in ("", POOL) for index in ("", *INDEXES))
    return tuple(one for one in every if one.startswith(metric))


def told(metrics: Iterable[str]) -> str:
    """Return what a reader has to know of these names, in a sentence or two; empty where all are plain."""
    names = list(metrics)
    pool = "-pool: judged passages and the base's first hits were searched, not the collection."
    pooled = pool if any(exact(name).endswith(POOL) for name in names) else ""
    return " ".join(filter(None, (pooled, approximate(names))))


def approximate(metrics: Iterable[str]) -> str:
    """Return the part of :func:`told` that is about approximate indexes."""
    seen = set(metrics)
    used = [index for index in INDEXES if any(name.endswith(index) for name in seen)]
    titles = " or ".join(INDEXES[index] for index in used)
    return f"{', '.join(used)}: an approximate index ({titles}) searched; it misses some passages." if used else ""
