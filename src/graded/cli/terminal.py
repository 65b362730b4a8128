"""What commands print: at most 100 columns, tables of one look."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

#: Columns of a terminal that nothing exceeds.
WIDTH = 100


def table(title: str, caption: str | None = None, **options: Any) -> Table:
    """Return a table without rows; ``options`` are those of rich's Table."""
    from rich import box
    from rich.table import Table

    look: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0)}
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left", **look | options)


def show(*what: Table | str) -> None:
    """Print tables and lines."""
    from rich.console import Console

    console = Console(width=WIDTH, file=sys.stdout, highlight=False)
    for one in what:
        console.print(one)
