"""`graded profile NAME`: a profile laid over params.yaml, the difference shown first."""

from __future__ import annotations

import difflib
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from graded import params
from graded.console import say
from graded.errors import MissingError, ParamError, one_of
from graded.formats.atomic import write_text

PROFILES = Path("profiles")


def profile(
    name: Annotated[str, typer.Argument(help="A file in profiles/ without .yaml: paper, small, own-data.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
) -> None:
    """Lay a profile over params.yaml: show what changes, then write it.

    Example: graded profile paper
    """
    have = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    if not have:
        raise MissingError(f"no {PROFILES}/ in {Path.cwd()}; run this inside a graded repository")
    if name not in have:
        raise ParamError(f"profile: {one_of(name, have)}")
    params.load()
    before = params.PARAMS.read_text(encoding="utf-8")
    after = overlay(before, (PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))
    changes = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "params.yaml", name, n=1, lineterm=""))
    if not changes:
        say(f"params.yaml already says what {name} says")
        return
    say("\n".join(changes))
    if not yes and not (sys.stdin.isatty() and typer.confirm("Write params.yaml?")):
        raise ParamError(f"nothing was written; to write it: graded profile {name} --yes")
    write_text(params.PARAMS, after)
    say(f"params.yaml now follows {name}; `git diff params.yaml` shows it, `git checkout params.yaml` takes it back")


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
