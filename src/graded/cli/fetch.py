"""`graded fetch`: a published collection into a folder, resumed, verified by hash."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graded import params
from graded.console import Progress, say
from graded.errors import many


class Name(StrEnum):
    """A collection."""

    miracl = "miracl"
    clirmatrix = "clirmatrix"


class Part(StrEnum):
    """What of MIRACL."""

    all = "all"
    corpus = "corpus"
    topics = "topics"


SPLITS = {Name.miracl: "dev", Name.clirmatrix: "test1"}


def fetch(
    name: Annotated[Name, typer.Argument(help="The collection.")],
    to: Annotated[Path, typer.Option(help="Folder that its files go to.")],
    languages: Annotated[str | None, typer.Option(help="Such as fi,ar; default: those of params.yaml.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: MIRACL dev, CLIRMatrix test1.")] = None,
    part: Annotated[Part, typer.Option(help="Of MIRACL: the passages, the topics and qrels, or both.")] = Part.all,
    mirror: Annotated[str | None, typer.Option(help="URL or folder with the same paths, instead of the host.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 4,
) -> None:
    """Fetch a collection; the same command goes on where it was stopped, and verifies what is there.

    Example: graded fetch miracl --part corpus --languages fi,ar --to data/source/miracl-corpus
    """
    from graded.sources.fetch import fetch as bring
    from graded.sources.pins import clirmatrix_pins, miracl_pins

    wanted = languages.split(",") if languages else params.languages()
    chosen = split or SPLITS[name]
    if name is Name.miracl:
        pins = miracl_pins(wanted, chosen, part.value)
    else:
        pins = clirmatrix_pins(wanted, chosen, to, mirror)
    with Progress(f"fetch {name.value}", sum(pin.size for pin in pins) // 2**20, "MiB") as progress:
        seen = 0

        def count(size: int) -> None:
            nonlocal seen
            before, seen = seen >> 20, seen + size
            progress.update((seen >> 20) - before)

        paths = bring(pins, to, mirror=mirror, workers=workers, progress=count)
    say(f"{to}: {many(len(paths), 'file')}, each with its pinned hash")
    say(f"for the team: dvc add {to} && git add {to}.dvc && dvc push {to}.dvc")
