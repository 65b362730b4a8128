"""`graded profile NAME`: a profile laid over params.yaml, the difference shown first."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from graded import params
from graded.cli.complete import profiles
from graded.cli.terminal import WIDTH
from graded.console import say
from graded.errors import MissingError, ParamError, one_of
from graded.formats import yaml12
from graded.formats.atomic import write_text

PROFILES = Path("profiles")


def profile(
    name: Annotated[
        str | None,
        typer.Argument(help="A file in profiles/ without .yaml; without one they are listed.", autocompletion=profiles),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
) -> None:
    """Lay a profile over params.yaml: show what changes, then write it.

    Example: graded profile paper
    """
    have = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if not have:
        raise MissingError(f"no {PROFILES}/ in {Path.cwd()}; run this inside a graded repository")
    if name is None:
        for one in have:
            say(fill(about(one), WIDTH, initial_indent=f"{one:<12}", subsequent_indent=" " * 12))
        return
    if name not in have:
        raise ParamError(f"profile: {one_of(name, have)}")
    params.load()
    before = params.PARAMS.read_text(encoding="utf-8")
    after = overlay(before, (PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))
    changes = list(changed(yaml12.loads(before), yaml12.loads(after)))
    if not changes:
        say(f"params.yaml already says what {name} says")
        return
    for key, old, new in changes:
        say(line(key, old, new))
    if not yes and not (sys.stdin.isatty() and typer.confirm("Write params.yaml?")):
        raise ParamError(f"nothing was written; to write it: graded profile {name} --yes")
    write_text(params.PARAMS, after)
    say(f"params.yaml now follows {name}; `git diff params.yaml` shows it, `git checkout params.yaml` takes it back")


def about(name: str) -> str:
    """Return the first sentence of a profile's comment."""
    lines = takewhile(lambda line: line.startswith("#"), (PROFILES / f"{name}.yaml").read_text("utf-8").splitlines())
    return re.split(r"(?<=[.;])\s", " ".join(line.lstrip("# ") for line in lines))[0].rstrip(".;")


#: In place of a value that is not there.
MISSING = object()


def changed(before: Any, after: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    """Yield ``(dotted key, old, new)`` of each value that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from changed(before.get(key, MISSING), after.get(key, MISSING), (*where, str(key)))
    elif before != after:
        yield ".".join(where), before, after


def line(key: str, old: Any, new: Any) -> str:
    """Return one change, both values whole: one line, or the key and each value on lines of the terminal's width."""
    was, now = ("(not set)" if one is MISSING else json.dumps(one, ensure_ascii=False) for one in (old, new))
    short = f"{key:<28} {was} -> {now}"
    if len(short) <= WIDTH:
        return short
    below = " " * 7
    values = (fill(text, WIDTH, initial_indent=lead, subsequent_indent=below, break_on_hyphens=False)
              for lead, text in ((below, was), ("    -> ", now)))  # fmt: skip
    return "\n".join((key, *values))


def overlay(base: str, over: str) -> str:
    """Return YAML text ``base`` with the values of ``over`` laid over it, comments of ``base`` kept.

    Mappings are merged key by key; anything else replaces. A mapping whose keys are data (``benchmark.sets``,
    ``grade.annotators``) is replaced whole.
    """
    from ruamel.yaml import YAML

    editor = YAML()
    editor.width = 120
    editor.preserve_quotes = True
    editor.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    document = editor.load(base)
    _merge(document, editor.load(over) or {}, ())
    out = io.StringIO()
    editor.dump(document, out)
    return out.getvalue()


WHOLE = {("benchmark", "sets"), ("grade", "annotators"), ("corpus", "folder"), ("encoder", "sha256"), ("tau",)}


def _merge(base: Any, over: Any, where: tuple[str, ...]) -> None:
    for key, value in over.items():
        path = (*where, str(key))
        if isinstance(value, dict) and isinstance(base.get(key), dict) and path not in WHOLE:
            _merge(base[key], value, path)
        else:
            base[key] = value
