"""Drawing without a browser and without a network: Vega-Lite to SVG and PNG by vl-convert, SVG for the page.

vl-convert carries Vega and Vega-Lite (BSD-3-Clause) and runs them in V8. The page gets the drawings as inline SVG, not
the libraries: no script is needed to see a figure, it prints, and its colours are CSS variables of the page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from graded.analysis import figures_theme as theme
from graded.analysis.figures import Figure, figure_spec, slug
from graded.formats.atomic import atomic, write_json, write_text

#: The Vega-Lite version that Altair writes for and vl-convert carries.
VERSION = "6.4"
SVG = "http://www.w3.org/2000/svg"
#: What a drawn figure may hold; anything else is left out of the page.
ELEMENTS = frozenset({"svg", "g", "path", "line", "rect", "text", "tspan", "circle", "defs", "clipPath", "title"})
ATTRIBUTES = frozenset(
    """class clip-path cx cy d dominant-baseline fill fill-opacity font-family font-size font-style font-weight height
    id opacity r rx ry stroke stroke-dasharray stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity
    stroke-width text-anchor transform viewBox width x x1 x2 y y1 y2 aria-label""".split()  # noqa: SIM905
)


def svg(spec: dict[str, Any]) -> str:
    """Return the SVG text of a Vega-Lite specification."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, vl_version=VERSION, allowed_base_urls=[]))


def save(figure: Figure, folder: Path, images: Path | None = None) -> list[Path]:
    """Write a figure as Vega-Lite (.vl.json), SVG and PNG (2 pixels a point) into ``folder``; return the files.

    The PNG goes to ``images`` where that is given.
    """
    import vl_convert

    spec = figure_spec(figure)
    drawn = svg(spec)
    name = slug(figure.name)
    paths = [folder / f"{name}.vl.json", folder / f"{name}.svg", (images or folder) / f"{name}.png"]
    write_json(paths[0], spec)
    write_text(paths[1], drawn)
    with atomic(paths[2]) as temporary:
        temporary.write_bytes(vl_convert.svg_to_png(drawn, scale=2))
    return paths


def inline(drawn: str, prefix: str) -> str:
    """Return ``drawn`` for use inside an HTML page: known elements and attributes only, colours as CSS variables.

    Args:
        drawn: SVG text.
        prefix: put before every id, so that several drawings on a page keep theirs apart.
    """
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(drawn)
    _clean(root, prefix)
    root.attrib.pop("height", None)
    if width := root.attrib.pop("width", None):
        root.set("style", f"width:{float(width):g}px")
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    return ElementTree.tostring(root, encoding="unicode")


COLOURS = {token.light: f"var(--{name})" for name, token in theme.TOKENS.items()}


def _clean(element: ElementTree.Element, prefix: str) -> None:
    for child in list(element):
        if str(child.tag).removeprefix(f"{{{SVG}}}") in ELEMENTS:
            _clean(child, prefix)
        else:
            element.remove(child)
    style = []
    for name, value in list(element.attrib.items()):
        if name not in ATTRIBUTES:
            del element.attrib[name]
        elif name in ("fill", "stroke") and value.lower() in COLOURS:
            del element.attrib[name]
            style.append(f"{name}:{COLOURS[value.lower()]}")
        elif name == "id":
            element.set(name, prefix + value)
        elif name == "clip-path":
            element.set(name, re.sub(r"#", f"#{prefix}", value))
        elif name == "font-family":
            del element.attrib[name]
    if style:
        element.set("style", ";".join(style))
