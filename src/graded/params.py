"""params.yaml, read once by a stage's ``main`` into that stage's own frozen model.

A stage owns the section of its own name; the few values that several stages share stand at the top level and
are read by name. A key that no stage reads is an error, so that a misspelt one cannot silently mean the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from graded.errors import ParamError, one_of
from graded.formats import yaml12
from graded.formats.redact import redact

PARAMS = Path("params.yaml")

#: Sections, one a stage, and the values that several stages share.
SECTIONS = (
    "encoder", "corpus", "benchmark", "sample", "query", "candidate", "grade", "agree", "balance",
    "pair", "train", "retrieve", "bm25", "evaluate", "report",
)  # fmt: skip
SHARED = ("tau", "languages", "annotator", "annotators", "seed")


class Section(BaseModel):
    """Base of every stage's ``Params``: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


S = TypeVar("S", bound=Section)


def load(path: Path | None = None) -> dict[str, Any]:
    """Return the whole of params.yaml.

    Raises:
        MissingError: there is no such file here.
        ParamError: it is no YAML mapping, or has a top-level key that no stage reads.
    """
    path = path or PARAMS
    values = yaml12.read_mapping(path, "run this inside a graded repository")
    for key in values:
        if key not in SECTIONS + SHARED:
            raise ParamError(f"{path}: no stage reads this key: {one_of(key, SHARED + SECTIONS)}")
    return values


def at(values: Any, key: str) -> Any:
    """Return what stands at a dotted key, such as `pair.extra.size`, of params.yaml's content; None where nothing."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def section(name: str, model: type[S], path: Path | None = None) -> S:
    """Return section ``name`` of params.yaml as ``model``.

    Raises:
        ParamError: a key that the stage does not read, a missing key or an illegal value; one line for the first.
    """
    path = path or PARAMS
    values = load(path)
    if name not in values:
        raise ParamError(f"{path}: section {name!r} is missing; legal sections: {', '.join(SECTIONS)}")
    return parse(name, values[name], model, path)


def parse(name: str, values: Any, model: type[S], path: Path | None = None) -> S:
    """Return ``values``, which stand at ``name`` in ``path``, as ``model``; errors as in :func:`section`."""
    try:
        return model.model_validate({} if values is None else values)
    except ValidationError as error:
        raise ParamError(f"{path or PARAMS}: {_first(name, error, model)}") from None


def shared(name: str, path: Path | None = None) -> Any:
    """Return the shared top-level value ``name``."""
    values = load(path)
    if name not in values:
        raise ParamError(f"{path or PARAMS}: {name!r} is missing at the top level")
    return values[name]


def languages(path: Path | None = None) -> list[str]:
    """Return the languages of this run, as codes such as ``fi``.

    Raises:
        ParamError: the list is empty, repeats a code, or holds something that is not two or three small letters
            (``no`` is Norwegian here, not false).
    """
    codes = shared("languages", path)
    if not isinstance(codes, list) or not codes:
        raise ParamError(f"languages: received {codes!r}; expected a list such as [fi, ar]")
    for code in codes:
        if not is_language(code):
            raise ParamError(f"languages: received {code!r}; expected codes of two or three small letters")
    if len(set(codes)) != len(codes):
        raise ParamError(f"languages: received {codes!r}; a language stands twice")
    return codes


def is_language(code: Any) -> bool:
    """Return whether ``code`` can be a language: two or three small letters."""
    return isinstance(code, str) and code.isascii() and code.isalpha() and code.islower() and len(code) in (2, 3)


def seed(path: Path | None = None) -> int:
    """Return the one seed that every stage derives its randomness from."""
    value = shared("seed", path)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ParamError(f"seed: received {value!r}; expected a whole number from 0 up")
    return value


def _first(name: str, error: ValidationError, model: type[BaseModel]) -> str:
    problem = error.errors()[0]
    where = ".".join([name, *(str(part) for part in problem["loc"])])
    if problem["type"] == "extra_forbidden":
        legal = _fields_at(model, problem["loc"][:-1])
        return f"no stage reads {where}: {one_of(problem['loc'][-1], legal)}"
    if problem["type"] == "missing":
        return f"{where} is missing"
    message = redact(problem["msg"].removeprefix("Value error, "))
    if problem["type"] == "secret" or isinstance(problem["input"], dict):
        return f"{where}: {message}"
    return redact(f"{where}: received {problem['input']!r}; {message}")


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
