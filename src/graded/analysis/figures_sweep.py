"""Figures of several experiments: thresholds (Figures 5 and 6), share of mined negatives.

Figure numbers are the paper's ("The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval").
All read rows of the tidy results. Where an arm was run with several seeds, its point is the mean over them and its
bar goes from the lowest to the highest end of their intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graded.analysis import figures_theme as theme
from graded.analysis import published
from graded.analysis.figures import Figure, Key, Panel, Row
from graded.analysis.figures_rows import base_value, groups, pooled, size_of, trained, without_about
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
    mine = [
        row
        for row in trained(rows, set_name, metric, annotator)
        if row["query_lang"] == row["doc_lang"] and row["target"] in ("all", row["query_lang"])
    ]
    alone = {row["query_lang"] for row in mine if row["target"] != "all"}
    mine = [row for row in mine if row["target"] != "all" or row["query_lang"] not in alone]
    sizes = {lang: {size_of(row) for row in cell} for lang, cell in groups(mine, lambda row: row["query_lang"])}
    mine = [row for row in mine if len(sizes[row["query_lang"]]) > 1]
    taus = sorted({row["tau_target"] for row in mine})
    if not mine:
        return None
    panels, shown = [], []
    for lang in published.in_order({row["query_lang"] for row in mine}):
        points = []
        for (tau, size), cell in groups((r for r in mine if r["query_lang"] == lang), _tau_size):
            value, low, high = pooled(cell)
            about = f"{language_name(lang)}, τ {tau:g}, {size:,} pairs: {metric} {value:.4f}{span(low, high)}"
            points.append(
                {"language": language_name(lang), "tau": f"{tau:g}", "size": size, "value": value, "low": low}
                | {"high": high, "seeds": len(cell), "about": about}
            )
        base = base_value(rows, lang, lang, set_name, metric)
        panels.append(Panel(language_name(lang), lines(points, [f"{tau:g}" for tau in taus], base, metric)))
        shown += points
    keys = [Key(f"τ = {tau:g}", theme.SERIES[at % 6], theme.shapes(len(taus))[at]) for at, tau in enumerate(taus)]
    caption = (
        f"{metric} on {set_name} after fine-tuning, against the number of graded pairs (before τ), by threshold. "
        "Bars: 95% intervals over queries. Dashed: the base encoder."
    )
    return Figure(
        f"curves-{annotator}", f"Thresholds and size, grades of {annotator}", caption, tuple(panels),
        (*keys, Key("base encoder", "muted", "dash")), without_about(shown),
    )  # fmt: skip


def lines(points: list[dict[str, Any]], taus: list[str], base: float | None, metric: str) -> Any:
    """Return one panel: a line and points with bars for each tau, and the base as a dashed rule."""
    import altair as alt

    # The lines stand a little apart, so that bars of one size do not cover each other.
    largest = max(point["size"] for point in points)
    for point in points:
        point["at"] = point["size"] + (taus.index(point["tau"]) - (len(taus) - 1) / 2) * 0.012 * largest
    chart = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("at:Q", title="graded pairs", axis=alt.Axis(labelExpr=COUNTS, tickCount=5)),
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
    """Return the metric against the share of mined negatives, a panel a language; arguments as for :func:`curves`."""
    import altair as alt

    mine = [
        row
        for row in rows
        if (row["set"], row["metric"], row["annotator"], row["system"]) == (set_name, metric, annotator, "tuned")
        and row["query_lang"] == row["doc_lang"]
        and row["share_mined"] is not None
        and row["extra"] is None
        and row["target"] in ("all", row["query_lang"])
    ]
    if len({row["share_mined"] for row in mine}) < 2:
        return None
    panels, shown = [], []
    for lang in published.in_order({row["query_lang"] for row in mine}):
        points = []
        for share, cell in groups((r for r in mine if r["query_lang"] == lang), lambda row: row["share_mined"]):
            value, low, high = pooled(cell)
            about = f"{language_name(lang)}, {share:.0%} mined: {metric} {value:.4f}{span(low, high)}"
            points.append({"language": language_name(lang), "share": share, "value": value, "low": low})
            points[-1] |= {"high": high, "about": about}
        chart = alt.Chart(alt.Data(values=points)).encode(
            x=alt.X(
                "share:Q",
                title="share of mined negatives",
                scale=alt.Scale(padding=12, nice=False),
                axis=alt.Axis(format=".0%", values=sorted({row["share_mined"] for row in mine})),
            ),
            description="about:N",
        )
        y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
        layers = [
            chart.transform_filter("isValid(datum.low)").mark_rule(opacity=0.4).encode(y=alt.Y("low:Q"), y2="high:Q"),
            chart.mark_line(strokeWidth=2).encode(y=y),
            chart.mark_point(filled=True, size=55, opacity=1).encode(y=y),
        ]
        layers = [layer.encode(color=alt.value(theme.light("one"))) for layer in layers]
        if (base := base_value(rows, lang, lang, set_name, metric)) is not None:
            layers.insert(0, dashed([{"base": base, "about": f"base encoder: {base:.4f}"}], theme.light("muted")))
        panels.append(Panel(language_name(lang), alt.layer(*layers).properties(width=235, height=170)))
        shown += points
    caption = f"{metric} on {set_name} against the share of mined negatives, the rest drawn at random."
    keys = (Key("fine-tuned", "one", "circle"), Key("base encoder", "muted", "dash"))
    return Figure(f"mined-{annotator}", "Mined negatives", caption, tuple(panels), keys, without_about(shown))


def _tau_size(row: Row) -> tuple[float, int]:
    return row["tau_target"], size_of(row) or 0
