"""How far two annotators agree on grades 0 to 3, from their confusion counts.

Counts are [..., 4, 4] with the first annotator's grade as the row. Everything is vectorised over the leading axes, so
that a bootstrap is one call. All return NaN where the figure is not defined (no pairs, or no spread to agree on).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graded.formats import table

Floats = NDArray[np.float64]

GRADES = 4

#: 0 on the diagonal, 1 in the far corners: ((i - j) / 3)^2.
_DISTANCE = (np.subtract.outer(np.arange(GRADES), np.arange(GRADES)) / (GRADES - 1)) ** 2


def quadratic_weighted_kappa(counts: Floats) -> Floats:
    """Return Cohen's kappa with quadratic weights (Cohen 1968; the paper's Figure 4).

    1 - sum(w * observed) / sum(w * expected), with the expected counts those of independent annotators with the same
    two distributions. NaN where both annotators gave one and the same grade throughout.
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum(axis=(-1, -2))
    expected = np.einsum("...i,...j->...ij", counts.sum(axis=-1), counts.sum(axis=-2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1.0 - (_DISTANCE * counts).sum(axis=(-1, -2)) * total / (_DISTANCE * expected).sum(axis=(-1, -2))


def gwet_ac2(counts: Floats) -> Floats:
    """Return Gwet's AC2 with quadratic weights (Gwet 2014, "Handbook of Inter-Rater Reliability", chapter 4).

    Unlike kappa it does not collapse where nearly all pairs have one grade.
    """
    counts = np.asarray(counts, dtype=np.float64)
    weights = 1.0 - _DISTANCE
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / counts.sum(axis=(-1, -2), keepdims=True)
        observed = (weights * shares).sum(axis=(-1, -2))
        both = (shares.sum(axis=-1) + shares.sum(axis=-2)) / 2
        chance = weights.sum() / (GRADES * (GRADES - 1)) * (both * (1 - both)).sum(axis=-1)
        return (observed - chance) / (1 - chance)


def within(counts: Floats, steps: int) -> float:
    """Return the share of pairs whose two grades lie at most ``steps`` apart; 0 is exact agreement."""
    near = np.abs(np.subtract.outer(np.arange(GRADES), np.arange(GRADES))) <= steps
    total = counts.sum()
    return float((counts * near).sum() / total) if total else float("nan")


def lean(counts: Floats) -> float:
    """Return the mean of (second annotator's grade - first's): above 0 where the second is the more generous."""
    total = counts.sum()
    gap = np.subtract.outer(np.arange(GRADES), np.arange(GRADES)).T
    return float((counts * gap).sum() / total) if total else float("nan")


class Distribution(NamedTuple):
    """One annotator in one language: pairs by grade (Figure 3), and by outcome where there is no grade."""

    grades: tuple[int, ...]
    outcomes: dict[str, int]


def distribution(path: Path) -> Distribution:
    """Return the counts of one grade table, streamed; errors as in :func:`graded.formats.table.read_rows`."""
    table.count_rows(path)
    with table.connect(memory_gb=0.5) as connection:
        rows = connection.execute(
            "SELECT outcome, grade, count(*) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL", [str(path)]
        ).fetchall()
    grades = [0] * GRADES
    outcomes: dict[str, int] = {}
    for outcome, grade, count in rows:
        if outcome == "ok":
            grades[grade] += count
        else:
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    return Distribution(tuple(grades), outcomes)


def confusions(first: Path, second: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different confusion counts that queries have, and how many queries have each.

    Pairs that only one of the two annotators graded are left out. Streamed: queries with equal counts are one row.

    Returns:
        int [U, 16], counts of (first's grade * 4 + second's grade); int [U], queries.
    """
    for path in (first, second):
        table.count_rows(path)
    cells = ", ".join(f"count(*) FILTER (cell = {cell})" for cell in range(GRADES * GRADES))
    with table.connect(memory_gb=1.0) as connection:
        found = connection.execute(
            f"""
            WITH cells AS (
                SELECT query_id, a.grade::INTEGER * {GRADES} + b.grade AS cell
                FROM read_parquet(?) a JOIN read_parquet(?) b USING (query_id, doc_id)
                WHERE a.outcome = 'ok' AND b.outcome = 'ok'
            ), queries AS (SELECT {cells} FROM cells GROUP BY query_id)
            SELECT *, count(*) FROM queries GROUP BY ALL ORDER BY ALL
            """,
            [str(first), str(second)],
        ).fetchnumpy()
    columns = np.array([np.asarray(column) for column in found.values()], dtype=np.int64)
    return columns[:-1].T, columns[-1]


def couples(annotators: list[str]) -> Iterator[tuple[str, str]]:
    """Yield every two annotators, in the order of the list."""
    for place, first in enumerate(annotators):
        for second in annotators[place + 1 :]:
            yield first, second
