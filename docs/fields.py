"""The keys of a params section, read from its model: legal values, default, and the comment beside the field."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined


class Row(NamedTuple):
    """One key of a section, as a row of its table."""

    key: str
    legal: str
    default: str
    shipped: str
    meaning: str


def rows(model: type[BaseModel], shipped: Any, prefix: str = "") -> Iterator[Row]:
    """Yield a row a key; keys of a nested section follow as ``outer.inner``, of a mapping as ``outer.<name>.inner``."""
    meanings = comments(model)
    for key, field in model.model_fields.items():
        inner, many = _nested(field.annotation)
        value = shipped.get(key, PydanticUndefined) if isinstance(shipped, dict) else PydanticUndefined
        meaning = field.description or meanings.get(key, "")
        if inner is None:
            legal = _legal(field.annotation) + _bounds(field.metadata)
            yield Row(prefix + key, legal, _default(field), shown(value), meaning)
        elif many:
            named: dict[str, Any] = value if isinstance(value, dict) else {}
            yield Row(prefix + key, "a mapping of names", "-", ", ".join(named), meaning)
            yield from rows(inner, next(iter(named.values()), {}), f"{prefix}{key}.<name>.")
        else:
            yield from rows(inner, value, f"{prefix}{key}.")


def comments(model: type[BaseModel]) -> dict[str, str]:
    """Return the comment of each field: the `#:` lines above it, or what stands behind it."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)) or kind.__module__.startswith("pydantic"):
            continue
        above: list[str] = []
        for line in inspect.getsource(kind).splitlines():
            if match := re.match(r"    #:? ?(.*)", line):
                above.append(match[1])
            elif match := re.match(r"    (\w+): ", line):
                behind = re.search(r"  # (?!fmt)(.*)", line)
                if above or behind:
                    found[match[1]] = " ".join(above) or (behind[1] if behind else "")
                above = []
            elif line.strip():
                above = []
    return found


def _nested(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    inside = get_args(annotation)
    if get_origin(annotation) is dict and isinstance(inside[1], type) and issubclass(inside[1], BaseModel):
        return inside[1], True
    return None, False


def _legal(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _legal(inside[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inside)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _legal(one) for one in inside)
    if origin in (list, tuple):
        return "a list of " + _legal(inside[0])
    if origin is dict:
        return "a mapping"
    if isinstance(annotation, type) and hasattr(annotation, "__members__"):
        return ", ".join(f"`{one.value}`" for one in annotation)  # type: ignore[attr-defined]
    words = {int: "a whole number", float: "a number", str: "text", bool: "true, false", Path: "a path"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(metadata: list[Any]) -> str:
    said = []
    for one in metadata:
        for name, word in (("ge", "from {}"), ("gt", "above {}"), ("le", "to {}"), ("lt", "below {}")):
            limit = getattr(one, name, None)
            if limit is not None:
                said.append(word.format(f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"))
    return " " + " ".join(said) if said else ""


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return shown(field.default_factory())
    return "-" if field.default is PydanticUndefined else shown(field.default)


def shown(value: Any) -> str:
    """Return a value as YAML on one line; empty where there is none."""
    if value is PydanticUndefined:
        return ""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list):
        value = [getattr(one, "value", one) for one in value]
    if isinstance(value, float):
        return f"{value:g}"
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).strip()
    return text.removesuffix("\n...").strip()
