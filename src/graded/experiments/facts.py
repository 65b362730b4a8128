"""The numbers of scale.yaml: what each is (measured, published, computed, assumed) and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from graded import params
from graded.errors import ParamError
from graded.formats import yaml12

FACTS = Path("scale.yaml")


class Fact(params.Section):
    """One number, or one a name, and what it is."""

    value: float | dict[str, float]
    kind: Literal["measured", "published", "computed", "assumed"]
    source: str = Field(alias="from", min_length=1)


class Facts:
    """The numbers of scale.yaml by dotted key; another file may be laid over them.

    Raises:
        MissingError: a file is not here.
        ParamError: it is no YAML, or a number lacks its kind or source.
    """

    def __init__(self, over: Path | None = None) -> None:
        absent = f"{FACTS} stands beside params.yaml"
        self.values = yaml12.read_mapping(FACTS, absent)
        self.path = FACTS
        if over is not None:
            _lay(self.values, yaml12.read_mapping(over, absent))
            self.path = over
        self.facts = dict(self._walk(self.values, ""))

    def _walk(self, values: Mapping[str, Any], at: str) -> Iterator[tuple[str, Fact]]:
        for key, value in values.items():
            name = f"{at}.{key}" if at else key
            if isinstance(value, Mapping) and "value" in value:
                yield name, params.parse(name, value, Fact, self.path)
            elif isinstance(value, Mapping):
                yield from self._walk(value, name)

    def one(self, key: str) -> float:
        """Return a number.

        Raises:
            ParamError: there is none of that name.
        """
        value = self._of(key)
        if isinstance(value, dict):
            raise ParamError(f"{self.path}: {key}: received one number a name; expected one number")
        return value

    def many(self, key: str) -> dict[str, float]:
        """Return numbers by name; errors as :meth:`one`."""
        value = self._of(key)
        if not isinstance(value, dict):
            raise ParamError(f"{self.path}: {key}: received {value}; expected one number a name")
        return value

    def _of(self, key: str) -> float | dict[str, float]:
        if key not in self.facts:
            raise ParamError(f"{self.path}: no {key} there; expected {{value: ..., kind: ..., from: ...}}")
        return self.facts[key].value


def _lay(values: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Lay ``over`` over ``values``; a number (a mapping with ``value``) is replaced as a whole."""
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict) and "value" not in value:
            _lay(values[key], value)
        else:
            values[key] = value
