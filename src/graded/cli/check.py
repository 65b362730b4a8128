"""`graded check`: every value of params.yaml, as its stage reads it, and those that must fit each other."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from graded import params
from graded.cli import here
from graded.console import say
from graded.errors import MissingError, ParamError, one_of


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
    """Refuse a params.yaml that a stage would refuse, or whose values do not fit each other.

    Raises:
        ParamError: a misspelt, missing or doubled key, or a value that is not legal; the first of them.
        MissingError: no file, or a source's folder is not here.
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
        module: Any = importlib.import_module(f"graded.stages.{stage}")
        sections[stage] = params.section(stage, module.Params, path)
        if stage == "pair":
            module.mixture(sections[stage], languages)
    annotators = params.shared("annotators", path)
    for name in annotators if isinstance(annotators, list) else []:
        if name not in sections["grade"].annotators:
            raise ParamError(f"annotators: not in grade.annotators: {one_of(name, sections['grade'].annotators)}")
    known(values["annotator"], annotators)
    for key in ("metrics", "compare"):
        for stage in ("retrieve", "bm25") if sections["bm25"].enabled else ("retrieve",):
            measures.deep_enough(getattr(sections["evaluate"], key), sections[stage].k, f"evaluate.{key}", f"{stage}.k")
    absent = here.source(values, path.parent)
    if absent:
        raise MissingError(f"{absent.text}; {absent.command}")
