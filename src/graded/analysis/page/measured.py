"""metrics/evaluate.json and the values of single queries as rows of results, for the figures of one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from graded.analysis.intervals import mean
from graded.records import Direction

#: (set, query_lang, doc_lang, system, metric)
Key = tuple[str, str, str, str, str]


def by_arm(rows: Iterable[tuple[Any, ...]]) -> dict[Key, np.ndarray]:
    """Return the values of single queries, float [Q], of each arm.

    Args:
        rows: (set, query_lang, doc_lang, system, metric, value), as data/evaluate/per_query.parquet has them.
    """
    found: dict[Key, list[float]] = defaultdict(list)
    for set_name, query_lang, doc_lang, system, metric, value in rows:
        found[set_name, query_lang, doc_lang, system, metric].append(value)
    return {key: np.asarray(values) for key, values in found.items()}


def measured(record: Mapping[str, Any], values: Mapping[Key, np.ndarray], *, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row a set, direction, system and metric, with the columns that the figures of one run read.

    Intervals are computed where both languages are the same; across languages there are many directions, and what is
    read there is the difference, which ``record`` holds with its interval.

    Args:
        record: metrics/evaluate.json.
        values: see :func:`by_arm`.
        seed: of the intervals.
    """
    rows = []
    for (set_name, query_lang, doc_lang, system, metric), scores in values.items():
        same = query_lang == doc_lang
        part = record.get(set_name, {}).get(Direction(query_lang, doc_lang).label, {})
        ends = mean(scores, seed=seed, draws=1000) if same else None
        gap = part.get("difference", {}).get(metric) if system == "tuned" else None
        rows.append(
            {
                "set": set_name,
                "query_lang": query_lang,
                "doc_lang": doc_lang,
                "system": system,
                "metric": metric,
                "value": float(scores.mean()),
                "low": ends.low if ends else None,
                "high": ends.high if ends else None,
                "difference": gap["mean"] if gap else None,
                "difference_low": gap["low"] if gap else None,
                "difference_high": gap["high"] if gap else None,
                "p": gap["p"] if gap else None,
                "p_holm": gap.get("p_holm") if gap else None,
                "queries": len(scores),
            }
        )
    return rows
