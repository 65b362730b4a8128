"""A benchmark's part of metrics/evaluate.json: values and differences of each direction, and their means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graded.analysis.compare import Difference, holm
from graded.records import Direction

#: system -> metric -> one value a query
Scores = dict[str, dict[str, np.ndarray]]
#: metric -> what its difference is, as numbers
Tested = dict[str, dict[str, float]]


def summary(found: dict[Direction, Scores], tested: dict[Direction, dict[str, Difference]]) -> dict[str, Any]:
    """Return a set's part of metrics/evaluate.json: each direction, then the means."""
    record: dict[str, Any] = {}
    for kind, same in (("mean", True), ("mean-cross", False)):
        family = [direction for direction in found if (direction.query_lang == direction.doc_lang) == same]
        adjusted = corrected({direction: tested[direction] for direction in family})
        parts = {direction.label: one_direction(found[direction], adjusted[direction]) for direction in family}
        record |= parts
        if len(parts) > 1:
            record[kind] = mean(list(parts.values()))
    return record


def spoken(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a set's record that fit a screen: its languages and its means."""
    return {label: part for label, part in record.items() if "-" not in label or label == "mean-cross"}


def corrected(tested: dict[Direction, dict[str, Difference]]) -> dict[Direction, Tested]:
    """Return direction -> metric -> the record of its difference, with Holm's p over the directions given."""
    metrics = next(iter(tested.values()), {})
    families = {metric: holm({direction: one[metric].p for direction, one in tested.items()}) for metric in metrics}
    return {
        direction: {
            metric: {
                "mean": digits(value.mean),
                "low": digits(value.low),
                "high": digits(value.high),
                "p": digits(value.p),
                "p_holm": digits(families[metric][direction]),
            }
            for metric, value in one.items()
        }
        for direction, one in tested.items()
    }


def one_direction(scores: Scores, tested: Tested) -> dict[str, Any]:
    """Return one direction's record."""
    means = {name: {metric: digits(column.mean()) for metric, column in one.items()} for name, one in scores.items()}
    queries = len(next(iter(scores["tuned"].values())))
    return {**means.pop("tuned"), "queries": queries, **means, "difference": tested}


def mean(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the plain mean of several directions, each weighing the same; of the systems that all of them have."""
    record: dict[str, Any] = {metric: digits(np.mean([part[metric] for part in parts])) for metric in parts[0]["base"]}
    for system in ("base", "bm25"):
        if all(system in part for part in parts):
            names = list(parts[0][system])
            record[system] = {metric: digits(np.mean([part[system][metric] for part in parts])) for metric in names}
    return record


def digits(value: Any) -> float:
    """Round to six decimals, so that a diff shows changes and no noise of the last bit."""
    return round(float(value), 6) + 0.0
