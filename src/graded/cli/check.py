"""`graded check`: every value of params.yaml, as its stage reads it, and those that must fit each other."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from graded import params
from graded.cli import here
from graded.console import say
from graded.errors import MissingError, ParamError, one_of
from graded.formats import yaml12


def command(
    path: Annotated[Path, typer.Argument(help="the file")] = params.PARAMS,
) -> None:
    """Read all of params.yaml as the stages would, before anything runs or is bought; the first fault is one line.

    DVC itself says nothing of a key that no stage reads.

    Example: graded check
    """
    legal(path)
    say(f"{path}: legal; {', '.join(params.languages(path))}, tau {params.shared('tau', path)}")


def legal(path: Path) -> None:
    """Refuse a params.yaml whose values :func:`fit` refuses, or whose sources are not here.

    Raises:
        ParamError: a misspelt, missing or doubled key, or a value that is not legal; the first of them.
        MissingError: no file, or a source's folder is not here.
    """
    fit(path)
    absent = here.source(params.load(path), path.parent)
    if absent:
        raise MissingError(f"{absent.text}; {absent.command}")


def needed(pipeline: Path) -> tuple[str, ...]:
    """Return the sections of params.yaml that the stages of a dvc.yaml read; all where there is no such file."""
    if not pipeline.is_file():
        return params.SECTIONS
    stages = yaml12.loads(pipeline.read_text(encoding="utf-8")).get("stages") or {}
    keys = {str(key).partition(".")[0] for one in stages.values() for key in one.get("do", one).get("params", [])}
    return tuple(stage for stage in params.SECTIONS if stage in keys)


def fit(path: Path, wanted: Sequence[str] = params.SECTIONS) -> None:
    """Refuse a params.yaml that a stage would refuse, or whose values do not fit each other.

    Args:
        path: the file.
        wanted: sections that have to be there; others are looked at where they are.

    Raises:
        ParamError: a misspelt, missing or doubled key, or a value that is not legal; the first of them.
        MissingError: no file.
    """
    from graded.analysis.combine import known
    from graded.analysis.tau import thresholds
    from graded.retrieval import measures

    values = params.load(path)
    languages = params.languages(path)
    params.seed(path)
    thresholds(params.shared("tau", path), languages)
    sections: dict[str, Any] = {}
    for stage in params.SECTIONS:
        if stage in values or stage in wanted:
            module: Any = importlib.import_module(f"graded.stages.{stage}")
            sections[stage] = params.section(stage, module.Params, path)
            if stage == "pair":
                module.mixture(sections[stage], languages)
    annotators = params.shared("annotators", path)
    if "grade" in sections:
        for name in annotators if isinstance(annotators, list) else []:
            if name not in sections["grade"].annotators:
                raise ParamError(f"annotators: not in grade.annotators: {one_of(name, sections['grade'].annotators)}")
    known(params.shared("annotator", path), annotators)
    searches = [stage for stage in ("retrieve", "bm25") if stage in sections]
    depths = {stage: sections[stage].k for stage in searches if getattr(sections[stage], "enabled", True)}
    for key in ("metrics", "compare") if "evaluate" in sections else ():
        for stage, k in depths.items():
            measures.deep_enough(getattr(sections["evaluate"], key), k, f"evaluate.{key}", f"{stage}.k")
