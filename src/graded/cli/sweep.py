"""`graded sweep NAME`: a grid of experiments over DVC's queue, counted first, resumable, with a table at its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from graded import params
from graded.cli import here
from graded.cli.complete import sweeps
from graded.console import say
from graded.errors import ParamError, ServiceError, many, one_of
from graded.experiments import git, grid

SHIPPED = "sample/texts"
PIPELINE = Path("dvc.yaml")


def sweep(
    name: Annotated[
        str, typer.Argument(help="A file in sweeps/ without .yaml, or the path of a YAML file.", autocompletion=sweeps)
    ],
    form: Annotated[
        str | None, typer.Option(help="Form of the sweep; default: sample on the shipped sample, else full.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Experiments at a time.")] = 1,
    part: Annotated[str, typer.Option(help="K/N: every N-th experiment from the K-th, for one of N hosts.")] = "1/1",
    dry: Annotated[bool, typer.Option("--dry", help="Count and estimate, run nothing.")] = False,
    remote: Annotated[
        str | None, typer.Option(help="Git remote whose experiments count too; default: origin, where there is one.")
    ] = None,
) -> None:
    """Queue the experiments of a sweep, skip those that are there, run the rest, show a table.

    Example: graded sweep figure5 --jobs 2

    Example: graded sweep figure5 --part 3/8 --jobs 8

    Example: graded sweep figure5 --dry
    """
    here.repository("sweep")
    here.locked(Path())
    title, chosen = grid.load(name)
    kind = form or default_form(chosen)
    if kind not in chosen.form:
        raise ParamError(f"sweep {title}: --form {one_of(kind, chosen.form)}")
    points = share(grid.expand(title, chosen.form[kind]), part)
    say(f"{title}: {chosen.title}{f' ({chosen.paper})' if chosen.paper else ''}, form {kind}")
    consult(remote)

    from graded.cli.results import table_of
    from graded.experiments.sweep import run

    names = run(title, points, jobs=jobs, dry=dry, check=check)
    if names and not dry:
        table_of([names[point.name] for point in points], chosen.show)


def share(points: list[grid.Point], part: str) -> list[grid.Point]:
    """Return the experiments of one of several hosts.

    Raises:
        ParamError: ``part`` is not K/N with K from 1 to N.
    """
    number, slash, count = part.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ParamError(f"--part: received {part!r}; expected K/N with 1 <= K <= N, such as 3/8")
    return points[int(number) - 1 :: int(count)]


def default_form(chosen: grid.Sweep) -> str:
    """Return `sample` on the shipped sample's texts where the sweep has that form, else `full`."""
    path = (params.load().get("corpus") or {}).get("path")
    return "sample" if path == SHIPPED and "sample" in chosen.form else "full"


def consult(remote: str | None) -> None:
    """Fetch the commits of a remote's experiments; an unreachable default remote is a warning."""
    name = remote or "origin"
    if remote is None and name not in git.git("remote").splitlines():
        return
    try:
        new = git.fetch(name)
    except ServiceError as error:
        if remote is not None:
            raise
        print(f"graded: {name} was not asked for its experiments ({error})", file=sys.stderr)
        return
    if new:
        say(f"{many(new, 'experiment')} fetched from {name}")


def check(path: Path) -> None:
    """Refuse a params.yaml that a stage of the pipeline here would refuse, or whose values do not fit each other."""
    from graded.cli.check import fit, needed

    fit(path, needed(PIPELINE))
