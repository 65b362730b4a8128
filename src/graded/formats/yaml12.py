"""YAML as DVC reads and writes it (1.2): `no` is a text, such as the code of Norwegian, and `1e-06` is a number.

PyYAML alone reads YAML 1.1, where `no` is false and `1e-06` a text; a value that DVC wrote would come back as another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from graded.errors import GradedError, MissingError, ParamError, flat

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """A safe loader with the numbers and truth values of YAML 1.2's core schema; a key must not stand twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's own name and form)
        first: [
            (tag, pattern)
            for tag, pattern in rules
            if tag.rsplit(":", 1)[1] not in ("bool", "int", "float", "timestamp")
        ]
        for first, rules in _Base.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                problem = f"{key.value!r} stands twice, again on line {key.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(None, None, problem, None)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def loads(text: str) -> Any:
    """Return the content of one YAML document.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=_Loader)


def read(path: Path, absent: str, kind: type[GradedError] = ParamError) -> Any:
    """Return the content of a YAML file.

    Raises:
        MissingError: there is no such file; ``absent`` says what to do then.
        ParamError: it is no YAML; another ``kind`` where the file holds no params.
    """
    try:
        return loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"no {path} in {Path.cwd()}; {absent}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise kind(f"{path} is not YAML: {flat(error, 400)}") from None


def read_mapping(path: Path, absent: str) -> dict[str, Any]:
    """Return the content of a YAML file that holds a mapping; errors as in :func:`read`, and where it holds none."""
    values = read(path, absent)
    if not isinstance(values, dict):
        raise ParamError(f"{path}: received {type(values).__name__} at the top, expected a mapping")
    return values
