"""The sections of several experiments: thresholds, mixtures, languages across, objectives, mined negatives, cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graded.analysis.figures import Figure, Row
from graded.analysis.page.blocks import Block, Column, Data, Grid, Section, Text, cell, drawing
from graded.analysis.tables import Table
from graded.errors import many

#: section key -> (title, figures and tables by the start of their name, the sweep that makes them, what it shows)
PARTS = {
    "thresholds": ("Thresholds", ("curves",), "figure5", "the metric against training size for each τ"),
    "mixtures": ("Mixtures", ("table1",), "table1", "what a second language adds at each τ"),
    "directions": ("Thresholds across languages", ("table2", "across"), "figure7", "τ against each pair of languages"),
    "objectives": ("Objectives", ("objectives",), "objectives", "training objectives at equal budget"),
    "negatives": ("Mined negatives", ("mined",), "hard-negatives", "how the share of mined negatives matters"),
}


def sections(
    figures: Iterable[Figure], tables: Iterable[Table], rows: Sequence[Row]
) -> tuple[list[Section], list[Section]]:
    """Return the sections that the given figures and tables fill, and one that names the commands of the others."""
    drawn, laid = list(figures), list(tables)
    found, absent = [], []
    for key, (title, starts, sweep, shows) in PARTS.items():
        blocks: list[Block] = [Grid(table) for table in laid if table.name.startswith(starts)]
        blocks += [drawing(figure) for figure in drawn if figure.name.startswith(starts)]
        if blocks:
            found.append(Section(key, title, tuple(blocks)))
        else:
            absent.append(f"graded sweep {sweep:<15} # {shows}")
    if rows:
        found.append(Section("cost", "Cost of training", (cost(rows),)))
    return found, [Section("sweeps", "Not run yet", (missing(absent),))] if absent else []


def missing(absent: Sequence[str]) -> Text:
    """Return what to type for what is not there."""
    text = (
        "Thresholds, mixtures and objectives are compared over several experiments. Each sweep runs as DVC "
        "experiments; then their results are gathered and the page is made again with them."
    )
    after = ("graded results --out results.parquet", "graded report --results results.parquet")
    return Text(text, "\n".join((*absent, *after)))


def cost(rows: Sequence[Row]) -> Data:
    """Return what each experiment was trained on and how long that took."""
    one: dict[str, Row] = {}
    for row in rows:
        one.setdefault(row["experiment"], row)
    columns = (
        Column("experiment"), Column("trained on"), Column("τ"), Column("objective"), Column("grades of"),
        Column("pairs", True), Column("positives", True), Column("steps", True), Column("minutes", True),
    )  # fmt: skip
    lines = []
    for name, row in one.items():
        on = row["target"] + (f" + {row['extra']}" if row["extra"] else "")
        minutes = "" if row["seconds"] is None else (f"{row['seconds'] / 60:,.1f}", row["seconds"])
        counts = (cell(row[key]) for key in ("train_pairs", "train_positives", "steps"))
        lines.append((name, on, row["tau"], row["objective"], row["annotator"], *counts, minutes))
    caption = f"{many(len(lines), 'experiment')}. A higher τ leaves fewer positives and, at equal epochs, fewer steps."
    return Data("experiments", "Experiments", columns, tuple(lines), caption)
