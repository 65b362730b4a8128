"""Rows of the tidy results as the figures and tables of several experiments read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from graded.analysis.figures import Row

DIRECTION = ("query_lang", "doc_lang", "set", "metric", "system")


def size_of(row: Row) -> int | None:
    """Return the training size of a row: pair.size, or all the pairs there were where it takes all."""
    return row["size"] if row["size"] is not None else row["train_pairs"]


def largest(rows: Sequence[Row], by: Callable[[Row], Hashable]) -> list[Row]:
    """Return the rows of the largest training size within each group of ``by``."""
    most: dict[Hashable, int] = defaultdict(int)
    for row in rows:
        most[by(row)] = max(most[by(row)], size_of(row) or 0)
    return [row for row in rows if (size_of(row) or 0) == most[by(row)]]


def groups(rows: Iterable[Row], by: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    """Return (value of ``by``, its rows), sorted by the value."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[by(row)].append(row)
    return sorted(found.items(), key=lambda item: item[0])


def pooled(cell: Sequence[Row]) -> tuple[float, float | None, float | None]:
    """Return mean, lowest low and highest high of one arm's rows (one a seed)."""
    lows = [row["low"] for row in cell if row["low"] is not None]
    highs = [row["high"] for row in cell if row["high"] is not None]
    value = sum(row["value"] for row in cell) / len(cell)
    return value, min(lows, default=None), max(highs, default=None)


def base_value(rows: Sequence[Row], query: str, passage: str, set_name: str, metric: str) -> float | None:
    """Return the base encoder's value for a direction, None where no experiment measured it."""
    wanted = (query, passage, set_name, metric, "base")
    found = (row for row in rows if tuple(row[name] for name in DIRECTION) == wanted)
    return next((row["value"] for row in found), None)


def without_about(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return rows without what only the drawing needs."""
    return tuple({key: value for key, value in row.items() if key not in ("about", "at")} for row in rows)


def tuned(rows: Sequence[Row], set_name: str, metric: str, annotator: str) -> list[Row]:
    """Return the fine-tuned rows of one benchmark, metric and annotator that say how much they were trained on."""
    wanted = (set_name, metric, annotator, "tuned")
    found = (row for row in rows if (row["set"], row["metric"], row["annotator"], row["system"]) == wanted)
    return [row for row in found if size_of(row)]


def trained(rows: Sequence[Row], set_name: str, metric: str, annotator: str) -> list[Row]:
    """Return those in the paper's setting: InfoNCE, one language or all of them, no mined negatives."""
    return [
        row
        for row in tuned(rows, set_name, metric, annotator)
        if row["extra"] is None and row["objective"] == "infonce" and not row["share_mined"]
    ]
