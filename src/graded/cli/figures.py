"""`graded figures` and `graded report`: the paper's figures and tables, and the page, from a results table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graded.console import say
from graded.errors import DataError, ParamError, many

OWN = Path("report")
#: A folder with this file was written here and may be replaced.
MARK = ".graded"


def figures(
    results: Annotated[Path, typer.Argument(help="What `graded results` wrote: .parquet or .csv.")],
    out: Annotated[Path, typer.Option(help="Folder to write into; it is replaced.")] = Path("figures"),
) -> None:
    """Draw Figures 5 to 7, Tables 1 and 2, and the tables of objectives and mined negatives, as far as they were run.

    Each figure is written as Vega-Lite (.vl.json), SVG and PNG, each table as CSV.

    Example: graded figures results/results.parquet --out figures
    """
    from graded.analysis import catalogue, figures_draw
    from graded.formats.atomic import atomic_folder
    from graded.stages.report import save_tables

    refuse(out)
    rows, scores = load(results)
    with atomic_folder(out) as folder:
        drawn = [figures_draw.save(figure, folder) for figure in catalogue.figures(rows)]
        laid = save_tables(catalogue.tables(rows, scores), folder)
        (folder / MARK).touch()
    if not drawn and not laid:
        say(f"{results} holds no two experiments that a figure compares; 'graded sweep figure5' runs some")
    say(f"{out}/: {many(len(drawn), 'figure')}, {many(laid, 'table')} of {many(len(rows), 'row')}")


def report(
    results: Annotated[Path | None, typer.Option(help="What `graded results` wrote; adds the sweeps.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write into; it is replaced.")] = Path("findings"),
) -> None:
    """Write the page about the run in this workspace and, with --results, about several experiments.

    Example: graded report --results results/results.parquet --out findings
    """
    from graded.stages.report import write

    refuse(out)
    if out.resolve() == OWN.resolve():
        raise ParamError(
            f"--out received {str(out)!r}, which belongs to the pipeline ('dvc repro report'); name another"
        )
    rows, scores = load(results) if results else ([], None)
    write(out, rows, scores)
    (out / MARK).touch()


def load(results: Path) -> tuple[list[dict[str, Any]], Any]:
    """Return the rows of a results table and the values of single queries beside it, None where they are not there."""
    from graded.analysis.catalogue import primary
    from graded.experiments import scores, tidy

    rows = tidy.read(results)
    if not rows:
        raise DataError(f"{results} has no row; 'graded results --out {results}' gathers experiments into it")
    return rows, scores.read(scores.beside(results), primary(rows))


def refuse(out: Path) -> None:
    """Return where ``out`` may be replaced: it is absent, empty, or was written by these commands.

    Raises:
        ParamError: it is a file, or a folder that holds something else.
    """
    if out.exists() and not out.is_dir():
        raise ParamError(f"--out received {str(out)!r}, a file; expected a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise ParamError(f"--out received {str(out)!r}, which holds other files; expected a new or empty folder")
