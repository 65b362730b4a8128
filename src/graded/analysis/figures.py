"""What a figure is: panels of Vega-Lite, the numbers behind them, and how they become one specification.

The figures themselves are in ``figures_data`` (counts, grades, agreement), ``figures_run`` (one run), and, of several
experiments, ``figures_sweep`` and ``figures_across``: pure functions from rows to a :class:`Figure`, or to None where
the rows hold nothing to draw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graded.analysis import figures_theme as theme

Row = Mapping[str, Any]


class Key(NamedTuple):
    """One entry of a legend: its text, its colour token and its shape (a shape, or ``dash`` for a dashed line)."""

    label: str
    token: str
    shape: str = "square"


class Panel(NamedTuple):
    """One drawing of a figure: a title and an Altair chart without a legend of its own."""

    title: str
    chart: Any


class Figure(NamedTuple):
    """A figure: file name, title, one paragraph on how to read it, panels, legend, the rows behind it."""

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[Key, ...] = ()
    rows: tuple[Row, ...] = ()
    columns: int = 3
    #: Between two panels of a row, in points: room for what stands to the left and right of their axes.
    gap: int = 74


def slug(name: str) -> str:
    """Return a name as a file name and an anchor: letters, digits, ``.``, ``_`` and ``-``, never a hidden file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".") or "_"


def panel_spec(panel: Panel) -> dict[str, Any]:
    """Return the Vega-Lite specification of one panel, title left to the page and no legend."""
    spec = panel.chart.to_dict(validate=False)
    spec["config"] = theme.config() | {"legend": {"disable": True}}
    return spec


def figure_spec(figure: Figure) -> dict[str, Any]:
    """Return one Vega-Lite specification of the whole figure: panels in rows, their titles, a legend below."""
    import altair as alt

    panels = [panel.chart + headline(panel) for panel in figure.panels]
    body = alt.concat(
        *panels, columns=figure.columns, bounds="flush", spacing={"row": 74, "column": figure.gap}
    ).resolve_scale(color="independent", shape="independent")
    chart = alt.vconcat(body, legend(figure.legend), spacing=24) if figure.legend else body
    spec = chart.properties(title=alt.TitleParams(figure.title, fontSize=15, offset=14)).to_dict(validate=False)
    spec["config"] = theme.config() | {"legend": {"disable": True}}
    return spec


def headline(panel: Panel) -> Any:
    """Return a panel's title as a mark; Vega would put its own above the highest tick label, at unlike heights."""
    import altair as alt

    above = 46 if '"orient": "top"' in panel.chart.to_json(validate=False) else 12
    mark = alt.Chart(alt.Data(values=[{}])).mark_text(
        align="left", baseline="bottom", fontSize=13, fontWeight=600, color=theme.light("ink"), text=panel.title
    )
    return mark.encode(x=alt.value(0), y=alt.value(-above))


def legend(keys: Sequence[Key]) -> Any:
    """Return a chart that draws ``keys`` in one line."""
    import altair as alt

    width, rows = 0, []
    for key in keys:
        rows.append({"x": width, "label": key.label, "color": theme.light(key.token), "shape": key.shape})
        width += 34 + 7 * len(key.label)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-8, max(width, 100)], nice=False)),
        color=alt.Color("color:N", scale=None),
    )
    dashes = base.transform_filter("datum.shape == 'dash'").transform_calculate(left="datum.x - 8", right="datum.x + 8")
    marks = base.transform_filter("datum.shape != 'dash'").mark_point(filled=True, size=80, opacity=1)
    return alt.layer(
        marks.encode(shape=alt.Shape("shape:N", scale=None)),
        dashes.mark_rule(strokeDash=[4, 3], strokeWidth=1.5).encode(x=alt.X("left:Q", axis=None), x2="right:Q"),
        base.mark_text(align="left", dx=12, color=theme.light("ink")).encode(
            text="label:N", color=alt.value(theme.light("ink"))
        ),
    ).properties(width=max(width, 100), height=18)
