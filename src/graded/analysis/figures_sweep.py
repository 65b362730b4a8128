"""Figures of several experiments: thresholds (Figures 5 and 6), share of mined negatives.

Figure numbers are the paper's ("The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval").
All read rows of the tidy results. Where an arm (:class:`graded.analysis.arms.Arm`) was run with several seeds, its
point is the mean over them and its bar goes from the lowest to the highest end of their intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graded.analysis import figures_theme as theme
from graded.analysis import published
from graded.analysis.arms import arm, by_tau, comparable, counted, groups, pooled, seeds, size_of, sized, tau
from graded.analysis.figures import Figure, Key, Panel, Row
from graded.analysis.figures_rows import base_value, language, mined_rows, trained, without_about
from graded.analysis.figures_run import span
from graded.languages import language_name

#: 200, 1,000, 150k: what a tick of a training size says.
COUNTS = "format(datum.value, datum.value < 10000 ? ',' : '~s')"


def curves(rows: Sequence[Row], annotator: str, set_name: str, metric: str) -> Figure | None:
    """Return Figure 5 (or 6): the metric against training size for each tau, the base dashed, a panel a language.

    Args:
        rows: tidy results.
        annotator: whose grades trained; the paper's Figure 5 has GPT-4o, its Figure 6 Gemma-3-27B.
        set_name: the benchmark.
        metric: the metric.
    """
    mine = [row for row in trained(rows, set_name, metric, annotator) if row["query_lang"] == row["doc_lang"]]
    mine = comparable(mine, language, ("tau", "size"))
    sizes = {lang: {size_of(row) for row in cell} for lang, cell in groups(mine, language)}
    mine = [row for row in mine if len(sizes[row["query_lang"]]) > 1]
    if not mine:
        return None
    taus, what = sorted({tau(row) for row in mine}, key=by_tau), counted(mine[0])
    panels, shown = [], []
    for lang in published.in_order({row["query_lang"] for row in mine}):
        points = []
        own = (row for row in mine if row["query_lang"] == lang)
        for (_, text, size, _), cell in groups(own, _tau_size):
            value, low, high = pooled(cell)
            about = (
                f"{language_name(lang)}, τ {text}, {size:,} {what.split()[-1]}: {metric} {value:.4f}{span(low, high)}"
            )
            points.append(
                {"language": language_name(lang), "tau": text, "size": size, "value": value, "low": low}
                | {"high": high, "seeds": len(seeds(cell)), "about": about}
            )
        base = base_value(rows, lang, lang, set_name, metric)
        panels.append(Panel(language_name(lang), lines(points, taus, base, metric, what)))
        shown += points
    keys = [Key(f"τ = {text}", theme.SERIES[at % 6], theme.shapes(len(taus))[at]) for at, text in enumerate(taus)]
    caption = (
        f"{metric} on {set_name} after fine-tuning, against the number of "
        f"{'graded pairs (before τ)' if what == 'graded pairs' else what}, by threshold. "
        "Bars: 95% intervals over queries. Dashed: the base encoder."
    )
    return Figure(
        f"curves-{annotator}", f"Thresholds and size, grades of {annotator}", caption, tuple(panels),
        (*keys, Key("base encoder", "muted", "dash")), without_about(shown),
    )  # fmt: skip


def lines(points: list[dict[str, Any]], taus: list[str], base: float | None, metric: str, what: str) -> Any:
    """Return one panel: a line and points with bars for each tau, the base as a dashed rule; ``what`` is counted."""
    import altair as alt

    # The lines stand a little apart, so that bars of one size do not cover each other.
    largest = max(point["size"] for point in points)
    for point in points:
        point["at"] = point["size"] + (taus.index(point["tau"]) - (len(taus) - 1) / 2) * 0.012 * largest
    chart = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("at:Q", title=what, axis=alt.Axis(labelExpr=COUNTS, tickCount=5)),
        color=alt.Color("tau:N", scale=alt.Scale(domain=taus, range=theme.series(len(taus)))),
        description="about:N",
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
    low = alt.Y("low:Q", title=metric)
    layers = [
        chart.transform_filter("isValid(datum.low)").mark_rule(opacity=0.4).encode(y=low, y2="high:Q"),
        chart.mark_line(strokeWidth=2).encode(y=y),
        chart.mark_point(filled=True, size=55, opacity=1).encode(
            y=y, shape=alt.Shape("tau:N", scale=alt.Scale(domain=taus, range=theme.shapes(len(taus))))
        ),
    ]  # fmt: skip
    if base is not None:
        layers.insert(0, dashed([{"base": base, "about": f"base encoder: {metric} {base:.4f}"}], theme.light("muted")))
    return alt.layer(*layers).properties(width=235, height=170)


def dashed(rows: list[dict[str, Any]], colour: str) -> Any:
    """Return a dashed horizontal rule at ``base`` of each row."""
    import altair as alt

    rule = alt.Chart(alt.Data(values=rows)).mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color=colour)
    return rule.encode(y=alt.Y("base:Q"), description="about:N")


def mined(rows: Sequence[Row], annotator: str, set_name: str, metric: str = "MRR@10") -> Figure | None:
    """Return the metric against the share of mined negatives, a panel a language; arguments as for :func:`curves`.

    Several objectives or taus are lines of their own.
    """
    mine = mined_rows(rows, set_name, metric, annotator)
    if not mine:
        return None
    kinds = [kind for kind, _ in groups(mine, _kind)]
    names = {kind: f"{kind[0]}, τ = {kind[2]}" for kind in kinds}
    panels, shown = [], []
    for lang in published.in_order({row["query_lang"] for row in mine}):
        points = []
        own = (row for row in mine if row["query_lang"] == lang)
        for (kind, share), cell in groups(own, lambda row: (_kind(row), row["share_mined"])):
            value, low, high = pooled(cell)
            told = "" if len(kinds) == 1 else f", {names[kind]}"
            about = f"{language_name(lang)}, {share:.0%} mined{told}: {metric} {value:.4f}{span(low, high)}"
            points.append({"language": language_name(lang), "trained": names[kind], "share": share, "value": value})
            points[-1] |= {"low": low, "high": high, "seeds": len(seeds(cell)), "about": about}
        base = base_value(rows, lang, lang, set_name, metric)
        panels.append(Panel(language_name(lang), _shares(points, list(names.values()), base, metric)))
        shown += points
    single = f" {names[kinds[0]]}," if len(kinds) == 1 else ""
    caption = (
        f"{metric} on {set_name} against the share of mined negatives, the rest drawn at random;"
        f"{single} on {sized(mine)}."
    )
    tokens = zip(theme.SERIES * len(kinds), theme.shapes(len(kinds)), names.values(), strict=False)
    keys = [Key(text if len(kinds) > 1 else "fine-tuned", token, shape) for token, shape, text in tokens]
    return Figure(
        f"mined-{annotator}", "Mined negatives", caption, tuple(panels),
        (*keys, Key("base encoder", "muted", "dash")), without_about(shown),
    )  # fmt: skip


def _shares(points: list[dict[str, Any]], names: list[str], base: float | None, metric: str) -> Any:
    import altair as alt

    chart = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X(
            "share:Q",
            title="share of mined negatives",
            scale=alt.Scale(padding=12, nice=False),
            axis=alt.Axis(format=".0%", values=sorted({point["share"] for point in points})),
        ),
        color=alt.Color("trained:N", scale=alt.Scale(domain=names, range=theme.series(len(names)))),
        description="about:N",
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
    layers = [
        chart.transform_filter("isValid(datum.low)").mark_rule(opacity=0.4).encode(y=alt.Y("low:Q"), y2="high:Q"),
        chart.mark_line(strokeWidth=2).encode(y=y),
        chart.mark_point(filled=True, size=55, opacity=1).encode(
            y=y, shape=alt.Shape("trained:N", scale=alt.Scale(domain=names, range=theme.shapes(len(names))))
        ),
    ]
    if base is not None:
        layers.insert(0, dashed([{"base": base, "about": f"base encoder: {base:.4f}"}], theme.light("muted")))
    return alt.layer(*layers).properties(width=235, height=170)


def _tau_size(row: Row) -> tuple[tuple[bool, float, str], str, int, int]:
    return by_tau(tau(row)), tau(row), size_of(row) or 0, arm(row).size or 0


def _kind(row: Row) -> tuple[str, tuple[bool, float, str], str]:
    return row["objective"], by_tau(tau(row)), tau(row)
