"""Figures of one run: the fine-tuned encoder beside the base encoder, and the matrix of query and passage languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graded.analysis import figures_theme as theme
from graded.analysis import published, variants
from graded.analysis.compare import LEVEL
from graded.analysis.figures import Figure, Key, Panel, Row
from graded.analysis.figures_rows import without_about
from graded.languages import language_name


def comparison(rows: Sequence[Row], set_name: str, metric: str) -> Figure | None:
    """Return base and tuned of each language in one benchmark, and their difference with its interval.

    Args:
        rows: tidy results of one experiment.
        set_name: the benchmark; directions whose two languages differ are left to :func:`matrix`.
        metric: the metric.
    """
    import altair as alt

    mine = [row for row in _of(rows, set_name, metric) if row["query_lang"] == row["doc_lang"]]
    order = published.in_order({row["query_lang"] for row in mine})
    if not order or not any(row["system"] == "tuned" for row in mine):
        return None
    points, gaps = [], []
    for row in mine:
        language = language_name(row["query_lang"])
        about = f"{language}, {row['system']}: {metric} {row['value']:.4f}{span(row['low'], row['high'])}"
        points.append(
            {"language": language, "system": row["system"], "value": row["value"], "low": row["low"]}
            | {"high": row["high"], "queries": row["queries"], "about": about}
        )
        if row["system"] == "tuned" and row["difference"] is not None:
            low, high = row["difference_low"], row["difference_high"]
            about = f"{language}: {row['difference']:+.4f}{span(low, high, '+.4f')}"
            clear = low is not None and high is not None and (low > 0 or high < 0)
            if row.get("p_holm") is not None:
                clear = row["p_holm"] < LEVEL
            side = ("good" if row["difference"] > 0 else "bad") if clear else "noise"
            gaps.append(
                {"language": language, "difference": row["difference"], "low": low, "high": high, "side": side}
                | {"about": about}
            )
    systems = ["base", "tuned", *sorted({row["system"] for row in mine} - {"base", "tuned"})]
    tokens = ["muted", "one", "two", "three", "four"]
    sort = [language_name(lang) for lang in order]
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("language:N", sort=sort, title=None, axis=alt.Axis(domain=False, ticks=False)), description="about:N"
    )
    x = alt.X("value:Q", title=metric, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=6))
    colour = alt.Color("system:N", scale=theme.scale(systems, tokens))
    height = 30 * len(order)
    values = alt.layer(
        base.transform_filter("datum.system == 'tuned' || datum.system == 'base'")
        .mark_line(color=theme.light("rule"), strokeWidth=2)
        .encode(x=x, detail="language:N"),
        base.transform_filter("datum.system == 'tuned' && isValid(datum.low)")
        .mark_rule(strokeWidth=5, opacity=0.22)
        .encode(x="low:Q", x2="high:Q", color=colour),
        base.mark_point(filled=True, size=85, opacity=1).encode(x=x, color=colour),
    ).properties(width=300, height=height)
    panels = [Panel(f"{metric}", values)]
    if gaps:
        panels.append(Panel(f"Change of {metric}", _gaps(gaps, sort, height)))
    keys = [Key(name, tokens[at % len(tokens)], "circle") for at, name in enumerate(systems) if _has(mine, name)]
    if gaps:
        keys += [Key("better", "good"), Key("worse", "bad"), Key("no difference shown", "muted")]
    caption = (
        "Left: mean over the benchmark's queries, with its 95% interval. Right: fine-tuned minus base on the same "
        "queries, with the interval of that language alone. In colour: more than noise, by the test that is corrected "
        "for the number of languages where it was made, else by the interval."
    )
    name, shown = f"comparison-{set_name}", without_about(points)
    return Figure(name, f"Fine-tuned against base, {set_name}", caption, tuple(panels), tuple(keys), shown, columns=2)


def _gaps(gaps: list[dict[str, Any]], sort: list[str], height: int) -> Any:
    import altair as alt

    base = alt.Chart(alt.Data(values=gaps)).encode(
        y=alt.Y("language:N", sort=sort, title=None, axis=alt.Axis(domain=False, ticks=False)),
        color=alt.Color("side:N", scale=theme.scale(["good", "bad", "noise"], ["good", "bad", "muted"])),
        description="about:N",
    )
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=theme.light("rule"), strokeDash=[4, 3])
    return alt.layer(
        zero.encode(x="zero:Q"),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"),
        base.mark_point(filled=True, size=85, opacity=1).encode(
            x=alt.X("difference:Q", title="tuned - base", axis=alt.Axis(format="+.3~f", tickCount=5))
        ),
    ).properties(width=230, height=height)


def matrix(rows: Sequence[Row], set_name: str, metric: str) -> Figure | None:
    """Return query language x passage language: the fine-tuned encoder's value, and its change from the base.

    Arguments as for :func:`comparison`; None where all directions have one language.
    """
    mine = [row for row in _of(rows, set_name, metric) if row["system"] == "tuned"]
    if all(row["query_lang"] == row["doc_lang"] for row in mine):
        return None
    order = published.in_order({row["query_lang"] for row in mine} | {row["doc_lang"] for row in mine})
    place = {lang: at for at, lang in enumerate(order)}
    mine.sort(key=lambda row: (place[row["query_lang"]], place[row["doc_lang"]]))
    largest = max((abs(row["difference"]) for row in mine if row["difference"] is not None), default=0.0) or 1.0
    cells = []
    for row in mine:
        change = row["difference"]
        pair = f"{language_name(row['query_lang'])} queries, {language_name(row['doc_lang'])} passages"
        about = f"{pair}: {row['value']:.4f}" + ("" if change is None else f", base {row['value'] - change:.4f}")
        cells.append(
            {"query": row["query_lang"], "passage": row["doc_lang"], "value": row["value"], "difference": change}
            | {"strength": abs(change or 0.0) / largest, "about": about}
        )
    size = {"width": 44.0 * len(order), "height": 30.0 * len(order)}
    values = _grid(cells, "value", ".3f", None, size)
    panels = [Panel(f"{metric}, fine-tuned", values)]
    if any(cell["difference"] is not None for cell in cells):
        panels.append(Panel("Change from the base", _grid(cells, "difference", "+.3f", "strength", size)))
    caption = "Rows: language of the queries; columns: language of the passages. Red: worse than base, green: better."
    shown = tuple({key: cell[key] for key in ("query", "passage", "value", "difference")} for cell in cells)
    name = f"matrix-{set_name}"
    return Figure(name, f"Across languages, {set_name}", caption, tuple(panels), (), shown, columns=2)


def _grid(cells: list[dict[str, Any]], field: str, text: str, strength: str | None, size: dict[str, float]) -> Any:
    import altair as alt

    base = alt.Chart(alt.Data(values=cells)).encode(
        y=alt.Y("query:N", title="queries", sort=None).axis(domain=False, ticks=False),
        x=alt.X("passage:N", title="passages", sort=None).axis(domain=False, ticks=False, labelAngle=0, orient="top"),
    )
    shade = alt.Scale(domain=[0, 1], range=[0.03, 0.48])
    colour: Any = alt.value(theme.light("heat"))
    if strength:
        sides = alt.condition("datum.difference < 0", alt.value(theme.light("bad")), alt.value(theme.light("good")))
        colour = sides
    rect = base.mark_rect(cornerRadius=2, stroke=theme.light("surface"), strokeWidth=1.5).encode(
        color=colour, opacity=alt.Opacity(f"{strength or field}:Q", scale=shade, legend=None), description="about:N"
    )
    label = base.mark_text(fontSize=10.5, color=theme.light("ink"), aria=False)
    return alt.layer(rect, label.encode(text=alt.Text(f"{field}:Q", format=text))).properties(**size)


def span(low: float | None, high: float | None, digits: str = ".4f") -> str:
    """Return `` [0.7000, 0.8000]``, or nothing where there is no interval."""
    return "" if low is None or high is None else f" [{low:{digits}}, {high:{digits}}]"


def _of(rows: Sequence[Row], set_name: str, metric: str) -> list[Row]:
    """Return the rows of a benchmark and metric; what is exact beside an approximate index (BM25) is among them."""
    names = {"base": metric, "tuned": metric}
    exact = variants.exact(metric)
    return [row for row in rows if row["set"] == set_name and row["metric"] == names.get(row["system"], exact)]


def _has(rows: Sequence[Row], system: str) -> bool:
    return any(row["system"] == system for row in rows)
