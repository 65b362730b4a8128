"""Rows of the tidy results as the figures and tables of several experiments read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graded.analysis.arms import DIRECTION, comparable, size_of
from graded.analysis.figures import Row


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
    """Return those in the paper's setting: InfoNCE, the query's language or all of them, no mined negatives."""
    return [
        row
        for row in tuned(rows, set_name, metric, annotator)
        if row["extra"] is None
        and row["objective"] == "infonce"
        and not row["share_mined"]
        and row["target"] in ("all", row["query_lang"])
    ]


def alone(row: Row) -> bool:
    """Return whether a row's language was trained without a second one and is searched in itself."""
    monolingual = row["query_lang"] == row["doc_lang"]
    return monolingual and row["extra"] is None and row["target"] in ("all", row["query_lang"])


def mined_rows(rows: Sequence[Row], set_name: str, metric: str, annotator: str) -> list[Row]:
    """Return the rows that tell of the share of mined negatives, in each language of one size; none without two shares.

    Objectives and taus are not held equal: each is a line of its own.
    """
    mine = [row for row in tuned(rows, set_name, metric, annotator) if alone(row) and row["share_mined"] is not None]
    mine = comparable(of_sweep(mine, "hard-negatives"), language, ("share_mined", "objective", "tau"))
    return mine if len({row["share_mined"] for row in mine}) > 1 else []


def of_sweep(rows: Sequence[Row], sweep: str) -> list[Row]:
    """Return the rows of the named sweep, which have one training budget; all rows where none has its name."""
    return [row for row in rows if row["sweep"] == sweep] or list(rows)


def language(row: Row) -> str:
    """Return the language of the queries."""
    return str(row["query_lang"])
