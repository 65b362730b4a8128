"""Colours and type of every figure and of the page: one list of tokens, a light and a dark value each.

A figure is drawn in the light values. On the page each of them becomes a CSS variable, so a figure follows the
reader's theme without being drawn twice. Contrast of text tokens with the surface is at least 4.5:1 in both themes,
of marks at least 3:1 (tests check it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Token(NamedTuple):
    """One colour: its value on light and on dark paper."""

    light: str
    dark: str


#: Light values are unique: the page finds a token in a drawn figure by its light value.
TOKENS = {
    "surface": Token("#fefefd", "#14181d"),
    "ink": Token("#1c232b", "#e6e9ec"),
    "muted": Token("#59636e", "#9ba6b2"),
    "rule": Token("#c9cfd6", "#3a444f"),
    "grid": Token("#e9ecef", "#252c34"),
    "one": Token("#1f6fa8", "#63b0e3"),
    "two": Token("#b4560f", "#f0a05c"),
    "three": Token("#2c7a4f", "#6cc491"),
    "four": Token("#8a4a9e", "#cc96dd"),
    "five": Token("#a8324a", "#f08a9c"),
    "six": Token("#6b6a1e", "#c5c267"),
    "grade0": Token("#d3d8de", "#38414b"),
    "grade1": Token("#9fc1da", "#37607f"),
    "grade2": Token("#4f8fbf", "#5295c6"),
    "grade3": Token("#174f78", "#a9d5f5"),
    "absent": Token("#b9907a", "#8f6d5a"),
    "heat": Token("#1d6ea7", "#3b7fb0"),
    "good": Token("#24794a", "#5fc48c"),
    "bad": Token("#b5374a", "#f28494"),
}

#: Marks of series that have an order of their own (tau, objectives, languages), first to last.
SERIES = ("one", "two", "three", "four", "five", "six")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
GRADES = ("grade0", "grade1", "grade2", "grade3")

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def light(name: str) -> str:
    """Return the light value of token ``name``."""
    return TOKENS[name].light


def series(count: int) -> list[str]:
    """Return ``count`` series colours; more than six repeat (shape then tells them apart)."""
    return [light(SERIES[at % len(SERIES)]) for at in range(count)]


def shapes(count: int) -> list[str]:
    """Return ``count`` mark shapes."""
    return [SHAPES[(at + at // len(SHAPES)) % len(SHAPES)] for at in range(count)]


def scale(domain: Sequence[Any], tokens: Sequence[str]) -> dict[str, Any]:
    """Return a Vega-Lite scale from ``domain`` to the light values of ``tokens``, in order."""
    return {"domain": list(domain), "range": [light(tokens[at % len(tokens)]) for at in range(len(domain))]}


def config() -> dict[str, Any]:
    """Return the Vega-Lite ``config`` that all figures share."""
    ink, muted, rule, grid = light("ink"), light("muted"), light("rule"), light("grid")
    return {
        "background": light("surface"),
        "font": FONT,
        "view": {"stroke": None},
        "concat": {"spacing": 28},
        "axis": {
            "labelColor": muted,
            "titleColor": muted,
            "domainColor": rule,
            "tickColor": rule,
            "gridColor": grid,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "tickSize": 4,
        },
        "legend": {"labelColor": ink, "titleColor": muted, "labelFontSize": 11, "titleFontSize": 11, "symbolSize": 70},
        "title": {"color": ink, "fontSize": 13, "fontWeight": 600, "anchor": "start", "subtitleColor": muted},
        "text": {"color": ink, "fontSize": 11},
    }


def css(theme: str) -> str:
    """Return the CSS declarations of all tokens: ``--ink: #1c232b; ...`` for ``light`` or ``dark``."""
    return " ".join(f"--{name}: {getattr(token, theme)};" for name, token in TOKENS.items())
