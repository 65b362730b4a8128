"""Sweeps as YAML: grids of params, expanded to experiments with telling names.

    title: What the sweep shows
    form:
      full:                       # values of a real run
        set: {pair.count: pairs}  # the same in every experiment
        grids:                    # each grid is a product; the sweep is all of them
          - pair.target: [fi, ar]
            tau: [1, 2, {default: 2, fi: 1}]
            pair.size: [50000, 100000]
      sample: {grids: [...]}      # the reduced form, for the shipped sample

Keys are those of params.yaml, dotted. In a grid a list holds alternatives, so a value that is itself a list stands in a
list of lists.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from graded import params
from graded.errors import MissingError, ParamError, one_of
from graded.formats import yaml12

FOLDER = Path("sweeps")


class Point(NamedTuple):
    """One experiment: its name, and what it sets (dotted key -> value)."""

    name: str
    values: dict[str, Any]


class Form(params.Section):
    """One form of a sweep."""

    #: The same in every experiment.
    set: dict[str, Any] = Field(default_factory=dict)
    #: Each a product of alternatives.
    grids: list[dict[str, Any]] = Field(min_length=1)


class Sweep(params.Section):
    """A sweep's file."""

    title: str
    #: Where the paper has it, such as `Figure 5`.
    paper: str | None = None
    #: Benchmark language that the table at the end shows: `same` (query and passage), or `cross`.
    show: str = "same"
    #: Name of a form (`full`, `sample`) -> the form.
    form: dict[str, Form] = Field(min_length=1)


def load(name: str) -> tuple[str, Sweep]:
    """Return name and content of a sweep: a file of sweeps/ without .yaml, or the path of any YAML file.

    Raises:
        MissingError: there is no such file.
        ParamError: it is no sweep.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        have = sorted(file.stem for file in FOLDER.glob("*.yaml"))
        raise MissingError(f"sweep: {one_of(name, have)}, or the path of a YAML file")
    return path.stem, params.parse(path.stem, yaml12.read(path, "name another"), Sweep, path)


def expand(name: str, form: Form) -> list[Point]:
    """Return the experiments of a form, in the order of its grids; the same values twice are one experiment.

    Where two that set different values would have one name (2e-5 and 2.0000001e-5), a hash of its values follows each.

    Raises:
        ParamError: a grid without an alternative.
    """
    points: dict[str, Point] = {}
    for grid in form.grids:
        choices = {key: value if isinstance(value, list) else [value] for key, value in grid.items()}
        for key, values in choices.items():
            if not values:
                raise ParamError(f"sweep {name}: {key} has no value; expected a list of alternatives")
        for combination in product(*choices.values()):
            chosen = dict(zip(choices, combination, strict=True))
            point = Point("-".join([name, *label(chosen)]), form.set | chosen)
            points.setdefault(json.dumps(_plain(point.values), sort_keys=True, default=str), point)
    named = Counter(point.name for point in points.values())
    return [
        point if named[point.name] == 1 else point._replace(name=f"{point.name}-{sha256(key.encode()).hexdigest()[:6]}")
        for key, point in points.items()
    ]


def _plain(value: Any) -> Any:
    """Return ``value`` with 2.0 as 2, which is the same to every stage."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def label(values: Mapping[str, Any]) -> list[str]:
    """Return the parts of an experiment's name: what its values are, in the order given."""
    plain = {"pair.target", "pair.extra.language", "annotator", "train.objective"}
    parts = []
    for key, value in values.items():
        short = {"pair.extra.language": "plus", "train.negatives.share_mined": "mined", "pair.extra.size": "of"}
        last = key.rsplit(".", 1)[-1]
        alone = sum(other.rsplit(".", 1)[-1] == last for other in values) == 1
        word = short.get(key, last if alone else key.replace(".", "-"))
        if value is None:
            continue
        text = slug(value)
        parts.append(text if key in plain and key not in short else f"{word}{'-' if text[0].isalpha() else ''}{text}")
    return parts


def slug(value: Any) -> str:
    """Return a value as letters, digits, dots and hyphens: `{default: 2, fi: 1}` is `default2-fi1`."""
    if isinstance(value, Mapping):
        return "-".join(f"{key}{slug(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return "-".join(slug(one) for one in value)
    if isinstance(value, float):
        value = f"{value:g}"
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(value)).strip("-.") or "none"


def overrides(values: Mapping[str, Any], have: Mapping[str, Any]) -> list[str]:
    """Return the `-S` arguments of `dvc exp run` that set ``values``, given params.yaml's content ``have``.

    A mapping takes the place of the one that is there; DVC alone would merge the two.
    """
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(params.at(have, key), Mapping):
            found += [f"~{key}", f"+{key}={text(value)}"]
        else:
            found.append(f"++{key}={text(value)}")
    return found


def text(value: Any) -> str:
    """Return a value in the grammar of `-S`: `2`, `null`, `{default:2,fi:1}`, `[fi,ar]`, `'a b'`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(text(one) for one in value) + "]"
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./@-]*", value) and value.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    ):
        return str(value)
    # Hydra's rule: a backslash is one unless it stands before a quote.
    return "'" + re.sub(r"(\\*)(?='|$)", r"\1\1", value).replace("'", "\\'") + "'"
