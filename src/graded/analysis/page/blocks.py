"""What the page is made of: sections of blocks, each a plain value that the template draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graded.analysis import published
from graded.analysis.figures import Figure, Row, panel_spec, slug
from graded.analysis.figures_draw import inline, svg
from graded.analysis.tables import Table


class Fact(NamedTuple):
    """One thing to know about the run: a label, a value, what more to say of it."""

    label: str
    value: str
    note: str = ""


class Facts(NamedTuple):
    """A list of facts."""

    facts: tuple[Fact, ...]
    kind: str = "facts"


class Text(NamedTuple):
    """A paragraph; ``command`` is shown below it, to be copied."""

    text: str
    command: str = ""
    kind: str = "text"


class Column(NamedTuple):
    """A column of a data table; numbers stand right and sort as numbers."""

    name: str
    number: bool = False


class Data(NamedTuple):
    """A table that can be sorted and searched. A cell is a text, or (text, number to sort by)."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    kind: str = "data"


class Drawing(NamedTuple):
    """A drawn figure: SVG of each panel, and the numbers behind it."""

    figure: Figure
    panels: tuple[tuple[str, str], ...]
    numbers: Data | None
    kind: str = "drawing"


class Grid(NamedTuple):
    """A table with a layout of its own (the paper's)."""

    table: Table
    kind: str = "grid"


class Browser(NamedTuple):
    """The examples: what can be chosen, the rows, and how they were sampled."""

    rows: tuple[Mapping[str, Any], ...]
    languages: tuple[str, ...]
    annotators: tuple[str, ...]
    note: str
    kind: str = "browser"


Block = Facts | Text | Data | Drawing | Grid | Browser


class Section(NamedTuple):
    """A part of the page; ``key`` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


#: Most rows shown of the numbers behind a figure.
SHOWN = 400


def drawing(figure: Figure) -> Drawing:
    """Draw a figure for the page."""
    panels = tuple(
        (panel.title, inline(svg(panel_spec(panel)), f"{slug(figure.name)}-{place}-"))
        for place, panel in enumerate(figure.panels)
    )
    return Drawing(figure, panels, numbers(figure))


def numbers(figure: Figure) -> Data | None:
    """Return the rows behind a figure as a table; at most 400 of them, said in its caption."""
    if not figure.rows:
        return None
    names = list(figure.rows[0])
    columns = tuple(Column(name, any(is_number(row[name]) for row in figure.rows)) for name in names)
    rows = tuple(tuple(cell(row[name]) for name in names) for row in figure.rows[:SHOWN])
    more = f"The first {SHOWN} of {len(figure.rows):,} rows." if len(figure.rows) > SHOWN else ""
    return Data(f"{figure.name}-numbers", "The numbers", columns, rows, more)


def cell(value: Any) -> Any:
    """Return a value as a data table shows it, with what it sorts by."""
    if value is None:
        return ""
    if isinstance(value, bool) or not is_number(value):
        return str(value)
    return (f"{value:,}" if isinstance(value, int) else f"{value:.4g}", value)


def is_number(value: Any) -> bool:
    """Return whether a value is a number to sort by."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def reference(rows: Sequence[Row], set_name: str, metric: str) -> Data | None:
    """Return published systems beside this run's, for a benchmark and metric that others have published."""
    found = published.reference(set_name, metric)
    own: dict[tuple[str, str], float] = {
        (row["system"], row["query_lang"]): row["value"]
        for row in rows
        if (row["set"], row["metric"]) == (set_name, metric) and row["query_lang"] == row["doc_lang"]
    }
    languages = published.in_order({lang for _, lang in own})
    if not found or not languages:
        return None
    columns = (Column("system"), *(Column(lang, True) for lang in languages), Column("source"))
    lines = [
        (system, *(cell(own.get((system, lang))) for lang in languages), "this run")
        for system in dict.fromkeys(system for system, _ in own)
    ]
    lines += [
        (one["name"], *(cell(one["values"].get(lang)) for lang in languages), f"published: {one['source']}")
        for one in found
    ]
    title = f"{metric} on {set_name}, beside published systems"
    return Data(f"reference-{set_name}", title, columns, tuple(lines), "Published values are others' full-corpus runs.")
