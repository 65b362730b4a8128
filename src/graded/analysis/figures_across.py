"""Figure 7: retrieval across languages against tau.

The number is the paper's ("The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graded.analysis import figures_theme as theme
from graded.analysis import published
from graded.analysis.arms import comparable, groups, pooled, seeds, sized, uniform, without
from graded.analysis.figures import Figure, Key, Panel, Row
from graded.analysis.figures_rows import base_value, language, trained, without_about
from graded.analysis.figures_run import span
from graded.languages import language_name


def across(rows: Sequence[Row], annotator: str, set_name: str, metric: str) -> Figure | None:
    """Return Figure 7: a panel a pair of languages, both directions against tau, their bases dashed.

    Models are trained on the query language (or on all), with one tau; of several sizes the one of most arms counts,
    of those the largest. Arguments as for :func:`curves`.
    """
    every = [row for row in trained(rows, set_name, metric, annotator) if row["query_lang"] != row["doc_lang"]]
    mine = comparable([row for row in every if uniform(row)], language, ("tau",))
    if len({row["tau_target"] for row in mine}) < 2:
        return None
    order = published.in_order({row["query_lang"] for row in mine} | {row["doc_lang"] for row in mine})
    panels, shown = [], []
    for at, first in enumerate(order):
        for second in order[at + 1 :]:
            points: list[dict[str, Any]] = []
            for direction in ((first, second), (second, first)):
                points += _direction(mine, rows, direction, set_name, metric)
            if points:
                title = f"{language_name(first)} and {language_name(second)}"
                names = [f"{first} → {second}", f"{second} → {first}"]
                panels.append(Panel(title, _crossing(points, names, metric)))
                shown += points
    on = "all languages" if mine[0]["target"] == "all" else "the language of the queries"
    caption = (
        f"{metric} on {set_name} for each pair of languages, both ways (queries → passages), by threshold; models are "
        f"trained on {on}, {sized(mine)}. Dashed: the base encoder.{without(every)}"
    )
    keys = (Key("first → second", "one", "circle"), Key("second → first", "two", "square"))
    name = f"across-{annotator}"
    return Figure(
        name, f"Across languages, grades of {annotator}", caption, tuple(panels), keys, without_about(shown), columns=4
    )


def _direction(
    mine: Sequence[Row], rows: Sequence[Row], pair: tuple[str, str], set_name: str, metric: str
) -> list[dict[str, Any]]:
    query, passage = pair
    base = base_value(rows, query, passage, set_name, metric)
    name = f"{query} → {passage}"
    points = []
    cells = (row for row in mine if (row["query_lang"], row["doc_lang"]) == pair)
    for tau, cell in groups(cells, lambda row: row["tau_target"]):
        value, low, high = pooled(cell)
        about = f"{name}, τ {tau:g}: {metric} {value:.4f}{span(low, high)}"
        points.append({"direction": name, "tau": tau, "value": value, "low": low, "high": high, "base": base})
        points[-1] |= {"about": about, "seeds": len(seeds(cell))}
    return points


def _crossing(points: list[dict[str, Any]], names: list[str], metric: str) -> Any:
    import altair as alt

    have = list(dict.fromkeys(point["direction"] for point in points))
    colours = alt.Scale(domain=names, range=theme.series(len(names)))
    taus = sorted({point["tau"] for point in points})
    ends = alt.Scale(domain=[taus[0], taus[-1]], padding=14)
    chart = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("tau:Q", title="τ", axis=alt.Axis(values=taus, format="~g"), scale=ends),
        color=alt.Color("direction:N", scale=colours),
        description="about:N",
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=4))
    shape = alt.Shape("direction:N", scale=alt.Scale(domain=names, range=theme.shapes(len(names))))
    last = [max((p for p in points if p["direction"] == name), key=lambda point: point["tau"]) for name in have]
    above = max(last, key=lambda point: point["value"])["direction"]
    labels = [
        alt.Chart(alt.Data(values=[end]))
        .mark_text(align="right", dy=-11 if end["direction"] == above else 13, fontSize=10, aria=False)
        .encode(x="tau:Q", y=y, text="direction:N", color=alt.Color("direction:N", scale=colours))
        for end in last
    ]
    rules = [end for end in last if end["base"] is not None]
    base = alt.Chart(alt.Data(values=rules)).mark_rule(strokeDash=[5, 4], strokeWidth=1.2, aria=False)
    return alt.layer(
        base.encode(y=alt.Y("base:Q", title=metric), color=alt.Color("direction:N", scale=colours)),
        chart.transform_filter("isValid(datum.low)").mark_rule(opacity=0.35).encode(y="low:Q", y2="high:Q"),
        chart.mark_line(strokeWidth=2).encode(y=y),
        chart.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=shape),
        *labels,
    ).properties(width=190, height=140)
