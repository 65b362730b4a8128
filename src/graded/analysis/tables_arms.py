"""Two tables that the paper lacks: objectives x languages, and share of mined negatives x languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graded.analysis import published
from graded.analysis.arms import by_tau, comparable, groups, sized, tau
from graded.analysis.figures import Row
from graded.analysis.figures_rows import alone, base_value, language, mined_rows, of_sweep, tuned
from graded.analysis.tables import Cell, Table, against, name


def objectives(rows: Sequence[Row], annotator: str, set_name: str, metric: str) -> Table | None:
    """Return objectives (at each tau) x languages at equal budget, with the steps of each.

    Of several sizes the one of most arms counts, and of those the largest. Arguments as for :func:`mixtures`.
    """
    mine = [row for row in tuned(rows, set_name, metric, annotator) if alone(row) and not row["share_mined"]]
    mine = comparable(of_sweep(mine, "objectives"), language, ("objective", "tau"))
    if len({row["objective"] for row in mine}) < 2:
        return None
    return _arms(
        mine, rows, _kind, lambda key: (key[0], key[2]), ("Objective", "τ"), set_name, metric,
        ("objectives", "Objectives", "at equal training budget"),
    )  # fmt: skip


def mined(rows: Sequence[Row], annotator: str, set_name: str, metric: str = "MRR@10") -> Table | None:
    """Return share of mined negatives x languages; arguments as for :func:`mixtures`.

    Several objectives or taus have rows of their own.
    """
    mine = mined_rows(rows, set_name, metric, annotator)
    if not mine:
        return None
    kinds = [kind for kind, _ in groups(mine, _kind)]
    one = len(kinds) == 1

    def label(key: Any) -> tuple[str, ...]:
        kind, share = key
        return (f"{share:.0%}",) if one else (f"{share:.0%}", kind[0], kind[2])

    by = "by the share of mined among the explicit negatives"
    return _arms(
        mine, rows, lambda row: (_kind(row), row["share_mined"]), label,
        ("Mined",) if one else ("Mined", "Objective", "τ"), set_name, metric,
        ("mined", "Share of mined negatives", f"{by}, {kinds[0][0]}, τ = {kinds[0][2]}" if one else by),
    )  # fmt: skip


def _kind(row: Row) -> tuple[str, tuple[bool, float, str], str]:
    return row["objective"], by_tau(tau(row)), tau(row)


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
        body.append((name("base"), *(name("") for _ in heads[1:]), *plain, Cell("")))
    caption = (
        f"{metric} on {set_name} {texts[2]}, trained on {sized(mine)}; green: above the base encoder, red: below it."
    )
    return Table(texts[0], texts[1], caption, (*heads, *languages, "steps"), tuple(body), heads=len(heads))
