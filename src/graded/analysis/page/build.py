"""From sections to one HTML file: Jinja2 with autoescape, style and script inlined, a policy that forbids the rest.

Texts of corpora and of language models reach the page in two ways: through the template, which escapes them, and as
JSON in a data block, which the page's script shows as text and never as HTML. The Content-Security-Policy names the
hash of the one script and allows no connection at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from graded.analysis import figures_theme
from graded.analysis.figures import slug
from graded.analysis.page.blocks import Section
from graded.analysis.tables import Cell
from graded.languages import language_name


def html(title: str, lead: str, sections: Sequence[Section], colophon: str) -> str:
    """Return the page.

    Args:
        title: of the page.
        lead: one paragraph below it.
        sections: in order.
        colophon: the last line.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("graded.analysis", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["language"] = language_name
    environment.filters["data"] = lambda value: Markup(data(value))
    environment.filters["drawn"] = Markup
    environment.filters["slug"] = slug
    environment.filters["number"] = number
    script = _source(environment, "page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("page.html").render(
        title=title,
        lead=lead,
        sections=sections,
        colophon=colophon,
        style=Markup(_source(environment, "page.css")),
        script=Markup(script),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        light=Markup(figures_theme.css("light")),
        dark=Markup(figures_theme.css("dark")),
    )


def data(value: Any) -> str:
    """Return JSON that is safe inside a script element: no ``<``, ``>``, ``&`` and no line separators of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def number(cell: Cell, value: float) -> str:
    """Return a number as its cell shows its own: a change in percent with its sign, or three decimals."""
    return f"{value:+.1f}%" if cell.text.endswith("%") else f"{value:.3f}"


def _source(environment: Any, name: str) -> str:
    return str(environment.loader.get_source(environment, name)[0])
