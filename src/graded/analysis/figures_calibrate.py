"""The figure of a calibration: how far each tau is behind the leader, a panel for each language that was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graded.analysis import figures_theme as theme
from graded.analysis.arms import groups
from graded.analysis.figures import Figure, Key, Panel, Row
from graded.languages import language_name

#: What is shown of an arm -> its token and its mark.
LOOKS = {
    "best shown": ("good", "circle"),
    "leads": ("one", "circle"),
    "no difference shown": ("muted", "square"),
    "shown worse": ("bad", "triangle-down"),
}
NONE = {"from": None, "to": None}


def calibration(rows: Sequence[Row], metric: str, confidence: float) -> Figure:
    """Return the figure.

    Args:
        rows: one for each judged language and tau: target, extra, language, tau, size, queries, score, base, behind
            with its ends behind_low and behind_high (None where too few queries differ), leads (share of query draws
            in which it has the highest mean), and shown, a key of ``LOOKS``.
        metric: the metric.
        confidence: of all intervals of a panel together.
    """
    panels, drawn = [], []
    arms = max(len(mine) for _, mine in groups(rows, _subject))
    for subject in dict.fromkeys(map(_subject, rows)):
        mine = [dict(row) for row in rows if _subject(row) == subject]
        for row in mine:
            row |= {"arm": arm(row["tau"]), "ahead": 0.0 - row["behind"]}
            known = row["behind_low"] is not None
            row |= {"from": 0.0 - row["behind_high"], "to": 0.0 - row["behind_low"]} if known else NONE
            row["note"] = f"first in {row['leads']:.0%} of draws, {row['size']:,} pairs"
            row["note"] += "" if known else ", no interval"
            ends = f"[{row['from']:+.4f}, {row['to']:+.4f}]" if known else "(no interval)"
            row["about"] = (
                f"{row['arm']}: {metric} {row['score']:.4f}, {row['ahead']:+.4f} {ends}"
                f" from the leader at {row['size']:,} pairs; {row['shown']}"
            )
        panels.append(Panel(_title(mine), _behind(mine, metric)))
        drawn += mine
    shown = dict.fromkeys(row["shown"] for row in drawn)
    caption = (
        f"{metric} on development queries, minus that of the leading τ on the same queries. Bars: {confidence:.0%}"
        " intervals that hold together over all thresholds and looks of a panel; where one crosses zero, no difference"
        " is shown. Draws: of the queries, with replacement."
    )
    keys = tuple(Key(name, *look) for name, look in LOOKS.items() if name in shown)
    columns = 2 if arms < 5 else 1
    gap = 70 + 5 * max(len(row["note"]) for row in drawn)
    return Figure("calibrate", f"Thresholds compared, {metric}", caption, tuple(panels), keys, (), columns, gap)


def arm(text: str) -> str:
    """Return a tau, or one for each language, for reading: ``τ 2``, or ``τ fi 1, en 2`` of ``fi=1,en=2``."""
    return f"τ {text.replace('=', ' ').replace(',', ', ')}"


def _subject(row: Row) -> tuple[str, str, str]:
    return str(row["target"]), str(row["extra"] or ""), str(row["language"])


def _title(rows: Sequence[Mapping[str, Any]]) -> str:
    first = rows[0]
    name = language_name(first["language"])
    name += f" with {language_name(first['extra'])}" if first["extra"] else ""
    best = min(rows, key=lambda row: float(row["behind"]))
    return f"{name}: {best['score']:.4f} at {best['arm']}, base {first['base']:.4f}"


def _behind(rows: list[dict[str, Any]], metric: str) -> Any:
    """Return one panel: a row an arm, the leader at zero."""
    import altair as alt

    tokens = {name: theme.light(token) for name, (token, _) in LOOKS.items()}
    shapes = {name: shape for name, (_, shape) in LOOKS.items()}
    width, height = 250, 30 * len(rows)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("arm:N", sort=[row["arm"] for row in rows], title=None, axis=alt.Axis(domain=False, ticks=False)),
        color=alt.Color("shown:N", scale=alt.Scale(domain=list(tokens), range=list(tokens.values()))),
        description="about:N",
    )
    title = f"{metric}, leader at 0"
    x = alt.X("ahead:Q", title=title, scale=alt.Scale(padding=10), axis=alt.Axis(format="+.3~f", tickCount=5))
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=theme.light("rule"), strokeDash=[4, 3])
    mark = alt.Shape("shown:N", scale=alt.Scale(domain=list(shapes), range=list(shapes.values())))
    note = base.mark_text(align="left", fontSize=10.5, aria=False).encode(
        x=alt.value(width + 12), text="note:N", color=alt.value(theme.light("muted"))
    )
    return alt.layer(
        zero.encode(x=alt.X("zero:Q", title=title)),
        base.transform_filter("isValid(datum.from) && datum.from < datum.to").mark_rule(strokeWidth=2).encode(
            x=alt.X("from:Q", title=title), x2="to:Q"
        ),
        base.mark_point(filled=True, size=85, opacity=1).encode(x=x, shape=mark),
        note,
    ).properties(width=width, height=height)  # fmt: skip
