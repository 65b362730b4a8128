"""The tables: a layout of cells that becomes HTML on the page and a tidy CSV beside it.

The tables themselves are in ``tables_paper`` (Tables 1 and 2) and ``tables_arms`` (two that the paper lacks). An
interval of a change is paired: the same resampled queries for both arms. Where the values of single queries are
absent, there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graded.analysis.arms import pooled, seeds
from graded.analysis.figures import Row
from graded.analysis.intervals import relative
from graded.analysis.published import Published

#: (experiment, set, query_lang, doc_lang, system, metric) -> query_id -> value
Scores = Mapping[tuple[str, ...], Mapping[str, float]]
#: A change of this many percent has the full colour.
FULL = 20.0


class Cell(NamedTuple):
    """One cell: a measured number (or a text), its interval, how it is shown, the published value beside it.

    ``tone`` is from -1 (full red) to 1 (full green); 0 has no colour.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    tone: float = 0.0
    published: Published | None = None
    head: bool = False


class Table(NamedTuple):
    """A table: file name, title, one paragraph on how to read it, column heads, rows of cells.

    ``heads`` is how many first cells of a row name it; ``groups`` are heads over the columns: (text, columns).
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    heads: int = 1
    groups: tuple[tuple[str, int], ...] = ()


def name(text: str) -> Cell:
    """Return a cell that names its row."""
    return Cell(text, head=True)


def plain(cell: Sequence[Row] | None, look: Callable[[Row], Published | None]) -> Cell:
    """Return an arm's value, empty where it was not run; ``look`` finds its published value."""
    if not cell:
        return Cell("")
    value, low, high = pooled(cell)
    return Cell(f"{value:.3f}", value, low, high, published=look(cell[0]))


def against(cell: Sequence[Row] | None, base: float | None) -> Cell:
    """Return an arm's value in the colour of its change from ``base``."""
    if not cell:
        return Cell("")
    value, low, high = pooled(cell)
    return Cell(f"{value:.3f}", value, low, high, tone=tone((value / base - 1) * 100) if base else 0.0)


def change(
    ours: Sequence[Row] | None, theirs: Sequence[Row] | None, scores: Scores | None,
    look: Callable[[Row], Published | None],
) -> Cell:  # fmt: skip
    """Return the relative change from ``theirs`` to ``ours`` in percent, with its paired interval."""
    if not ours or not theirs or not pooled(theirs)[0]:
        return Cell("")
    percent = (pooled(ours)[0] / pooled(theirs)[0] - 1) * 100
    low, high = _paired(ours, theirs, scores) if scores else (None, None)
    return Cell(f"{percent:+.1f}%", percent, low, high, tone(percent), look(ours[0]))


def _paired(ours: Sequence[Row], theirs: Sequence[Row], scores: Scores) -> tuple[float | None, float | None]:
    """Return the interval of the relative change on the queries that every experiment of the two cells has."""
    columns = [[scores.get(_key(row), {}) for row in seeds(cell)] for cell in (ours, theirs)]
    if not all(all(cell) for cell in columns):
        return None, None
    shared = sorted(set.intersection(*(set(one) for cell in columns for one in cell)))
    if not shared:
        return None, None
    means = [np.mean([[one[query] for query in shared] for one in cell], axis=0) for cell in columns]
    if not means[1].any():
        return None, None
    interval = relative(means[0], means[1])
    return interval.low, interval.high


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in ("experiment", "set", "query_lang", "doc_lang", "system", "metric"))


def tone(percent: float) -> float:
    """Return the colour of a change: -1 to 1, full at 20 percent."""
    return max(-1.0, min(1.0, percent / FULL))


def csv_rows(table: Table) -> list[tuple[str, ...]]:
    """Return a table as tidy rows with a head: the row's names, the column, value, low, high, published, source."""
    lines: list[tuple[str, ...]] = [
        (*table.columns[: table.heads], "column", "value", "low", "high", "published", "published_in")
    ]
    names: list[str] = []
    for row in table.rows:
        own = [cell.text for cell in row[: table.heads]]
        names = [text or (names[at] if names and at == 0 else text) for at, text in enumerate(own)]
        for column, cell in zip(table.columns[table.heads :], row[table.heads :], strict=True):
            if cell.value is not None:
                numbers = [cell.value, cell.low, cell.high, cell.published.value if cell.published else None]
                source = cell.published.source if cell.published else ""
                lines.append((*names, column, *("" if n is None else f"{n:.6g}" for n in numbers), source))
    return lines
