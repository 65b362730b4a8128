"""`graded compare A B`: is one run, folder of runs or revision better than another, and is that more than noise?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graded.analysis.compare import Difference, difference, holm_within
from graded.analysis.variants import POOL, approximate
from graded.cli import here, sides, terminal
from graded.console import say
from graded.errors import MissingError

COLUMNS = ("set", "direction", "queries", "A", "B", "B - A", "interval", "p", "p (Holm)")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Run file, folder of runs, Git revision, or 'workspace'.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same kind; a gain of B over A is positive.")],
    metric: Annotated[str, typer.Option(help="nDCG@k, nDCG_exp@k, MRR@k, recall@k; -pool: pools alone.")] = "nDCG@10",
    qrels: Annotated[Path | None, typer.Option(help="Judgements of two run files from elsewhere.")] = None,
    system: Annotated[str, typer.Option(help="Of two revisions: tuned, base or bm25.")] = "tuned",
    directions: Annotated[bool, typer.Option("--directions", help="Cross-lingual directions too.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table, for a review.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random signs and draws.")] = 13,
    resamples: Annotated[int, typer.Option(min=100, help="Sign assignments and bootstrap draws.")] = 10_000,
) -> None:
    """Compare two systems query by query: difference, 95% interval, paired randomisation test, Holm over languages.

    Example: graded compare data/run/base data/run/tuned

    Example: graded compare main workspace --markdown
    """
    ours, theirs = load(b, metric, qrels, system), load(a, metric, qrels, system)
    both, note = sides.paired(ours, theirs)
    monolingual = {task: pair for task, pair in both.items() if task.direction.query_lang == task.direction.doc_lang}
    chosen = both if directions or not monolingual else monolingual
    tested = {task: difference(_array(mine), _array(other), seed=seed, resamples=resamples)
              for task, (mine, other) in chosen.items()}  # fmt: skip
    corrected = adjusted(tested)
    rows = [row(task, metric, chosen[task], tested[task], corrected[task]) for task in sorted(chosen)]
    show(f"{metric}: A = {a}, B = {b}", rows, markdown)
    pooled = any(POOL in task.metric for task in chosen)
    notes = [
        "-pool: of judged passages and the base's first hits; gains over the base look larger" if pooled else "",
        approximate(task.metric for task in chosen),
        "A and B have the same value for every query" if all(mine == other for mine, other in chosen.values()) else "",
        note,
    ]
    if markdown and any(notes):
        say("")
    for line in filter(None, notes):
        say(line)


def load(name: str, metric: str, qrels: Path | None, system: str) -> sides.Side:
    """Return the values of a run, a folder of runs or a revision; a path that exists is never a revision."""
    path = Path(name)
    if path.exists():
        return sides.of_runs(path, metric, qrels)
    if path.suffix == ".trec" or qrels is not None:
        raise MissingError(f"no {path} here; 'dvc repro retrieve' makes data/run, 'dvc pull' fetches it")
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        here.repository("compare")
    return sides.of_revision(name, metric, system)


def adjusted(tested: dict[sides.Task, Difference]) -> dict[sides.Task, float]:
    """Return Holm's p of each task; a family is a set's languages, or its directions whose languages differ."""

    def family(task: sides.Task) -> tuple[str, bool]:
        return task.set, task.direction.query_lang == task.direction.doc_lang

    return holm_within({task: found.p for task, found in tested.items()}, family)


def row(
    task: sides.Task, metric: str, values: tuple[list[float], list[float]], found: Difference, corrected: float
) -> list[str]:
    """Return one line of the table, in the order of COLUMNS; a star where the corrected p is below 0.05.

    The set's name is followed by the metric's where it is not the one that stands above the table.
    """
    ours, theirs = (sum(side) / len(side) for side in values)
    return [
        task.set if task.metric == metric else f"{task.set} {task.metric}",
        task.direction.label,
        f"{found.queries:,}",
        f"{theirs:.4f}",
        f"{ours:.4f}",
        f"{found.mean:+.4f}{'*' if corrected < 0.05 else ' '}",
        f"{found.low:+.4f} to {found.high:+.4f}",
        f"{found.p:.4f}",
        f"{corrected:.4f}",
    ]


def show(title: str, rows: list[list[str]], markdown: bool) -> None:
    """Print the table, within 100 columns where names are short, or as Markdown."""
    if markdown:
        say(f"{title}; * p (Holm) < 0.05\n")
        say(f"| {' | '.join(COLUMNS)} |\n|{'|'.join(['---'] * 2 + ['---:'] * (len(COLUMNS) - 2))}|")
        for cells in rows:
            say(f"| {' | '.join(cell.strip() for cell in cells)} |")
        return
    shown = terminal.table(title, "* p (Holm) < 0.05")
    for place, name in enumerate(COLUMNS):
        shown.add_column(name, justify="left" if place < 2 else "right", no_wrap=place > 0, overflow="fold")
    for cells in rows:
        shown.add_row(*cells)
    terminal.show(shown)


def _array(values: list[float]) -> Any:
    import numpy as np

    return np.array(values, dtype=np.float64)
