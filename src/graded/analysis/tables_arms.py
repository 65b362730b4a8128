"""Two tables that the paper lacks: objectives x languages, and share of mined negatives x languages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from graded.analysis import published
from graded.analysis.figures import Row
from graded.analysis.figures_rows import base_value, groups, size_of, tuned
from graded.analysis.tables import Cell, Table, against, name


def objectives(rows: Sequence[Row], annotator: str, set_name: str, metric: str) -> Table | None:
    """Return objectives (at each tau) x languages at equal budget, with the steps of each.

    Arguments as for :func:`mixtures`.
    """
    mine = [row for row in tuned(rows, set_name, metric, annotator) if alone(row) and not row["share_mined"]]
    mine = of_sweep(mine, "objectives")
    if len({row["objective"] for row in mine}) < 2:
        return None
    mine = common_size(mine, lambda row: row["objective"])

    def arm(row: Row) -> tuple[str, float]:
        return row["objective"], row["tau_target"]

    return _arms(
        mine, rows, arm, lambda key: (key[0], f"{key[1]:g}"), ("Objective", "τ"), set_name, metric,
        ("objectives", "Objectives", "at equal training budget"),
    )  # fmt: skip


def mined(rows: Sequence[Row], annotator: str, set_name: str, metric: str = "MRR@10") -> Table | None:
    """Return share of mined negatives x languages; arguments as for :func:`mixtures`."""
    mine = [row for row in tuned(rows, set_name, metric, annotator) if alone(row) and row["share_mined"] is not None]
    mine = of_sweep(mine, "hard-negatives")
    if len({row["share_mined"] for row in mine}) < 2:
        return None
    mine = common_size(mine, lambda row: row["share_mined"])
    return _arms(
        mine, rows, lambda row: (row["share_mined"],), lambda key: (f"{key[0]:.0%}",), ("Mined",), set_name, metric,
        ("mined", "Share of mined negatives", "by the share of mined among the explicit negatives"),
    )  # fmt: skip


def _arms(
    mine: Sequence[Row], rows: Sequence[Row], arm: Callable[[Row], Any], label: Callable[[Any], Sequence[str]],
    heads: tuple[str, ...], set_name: str, metric: str, texts: tuple[str, str, str],
) -> Table:  # fmt: skip
    """Return arms x languages: the value, its change from the base in colour, the steps of the arm last."""
    languages = published.in_order({row["query_lang"] for row in mine})
    bases = {lang: base_value(rows, lang, lang, set_name, metric) for lang in languages}
    body = []
    for key, cells in groups(mine, arm):
        found = dict(groups(cells, lambda row: row["query_lang"]))
        steps = sorted({row["steps"] for row in cells if row["steps"] is not None})
        line = [name(text) for text in label(key)]
        line += [against(found.get(lang), bases[lang]) for lang in languages]
        text = "" if not steps else f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
        body.append((*line, Cell(text)))
    if any(value is not None for value in bases.values()):
        plain = [
            Cell("", None) if bases[lang] is None else Cell(f"{bases[lang]:.3f}", bases[lang]) for lang in languages
        ]
        body.append((*(name(text) for text in ("base", "")[: len(heads)]), *plain, Cell("")))
    caption = f"{metric} on {set_name} {texts[2]}; green: above the base encoder, red: below it."
    return Table(texts[0], texts[1], caption, (*heads, *languages, "steps"), tuple(body), heads=len(heads))


def alone(row: Row) -> bool:
    """Return whether a row's language was trained without a second one and is searched in itself."""
    monolingual = row["query_lang"] == row["doc_lang"]
    return monolingual and row["extra"] is None and row["target"] in ("all", row["query_lang"])


def of_sweep(rows: Sequence[Row], sweep: str) -> list[Row]:
    """Return the rows of the named sweep, which have one training budget; all rows where none has its name."""
    return [row for row in rows if row["sweep"] == sweep] or list(rows)


def common_size(rows: Sequence[Row], arm: Callable[[Row], Hashable]) -> list[Row]:
    """Return of each language the rows at the training size that the most arms share, the largest of several."""
    arms: dict[tuple[str, int], set[Hashable]] = defaultdict(set)
    for row in rows:
        arms[row["query_lang"], size_of(row) or 0].add(arm(row))
    best: dict[str, int] = {}
    for (lang, size), _ in sorted(arms.items(), key=lambda item: (len(item[1]), item[0][1])):
        best[lang] = size
    return [row for row in rows if (size_of(row) or 0) == best[row["query_lang"]]]
