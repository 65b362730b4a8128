"""Made-up input for whoever reads foreign bytes: text, JSON, columns and files, with what breaks readers in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Cases a reader: in the default run, and in `make test-all`.
FEW, MANY = 25, 8_000

#: Text as files hold it, with what breaks readers said more often than chance would.
ODD = [
    "\0", "\ufeff", "\u2028", "\x85", "\x1c", "\r", "\n", "\t", " ", '"', "'", "[", "]", "[3]", "[1]", "<think>",
    "</think>", "٣", "３", "²", "1e999", "-1", "9" * 5000, "NaN", "null", "Q0", "<top>", "<num>", "<title>", "{", "}",
    "\\ud800", "0",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(ODD) | st.text(max_size=8), max_size=8).map("".join)
LONE = TEXT | st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE00F), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def row(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects that have these fields, lack some, or hold anything there."""
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in fields.items()}) | JSON


def lines(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return files: lines of JSON or of text, cut, flipped or joined to raw bytes now and then."""
    line = st.one_of(*(kind.map(_bytes) for kind in kinds), st.binary(max_size=30))
    file = st.lists(line, max_size=5).map(b"\n".join)
    return st.one_of(file, st.builds(flip, file, st.integers(0, 1 << 12), st.integers(1, 255)))


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


def flip(data: bytes, at: int, bits: int) -> bytes:
    """Return ``data`` with ``bits`` of one byte turned over."""
    at %= max(len(data), 1)
    return data[:at] + bytes(one ^ bits for one in data[at : at + 1]) + data[at + 1 :]


def columns(*kinds: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return lines of columns, some of them of another width."""
    return st.tuples(*kinds).map("\t".join) | st.lists(TEXT, max_size=6).map("\t".join)


def fuzz(count: int, made: st.SearchStrategy[Any], body: Callable[[Any], None]) -> None:
    """Call ``body`` with ``count`` values, the smallest that fails is shown."""

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(made)
    def one(value: Any) -> None:
        body(value)

    one()
