"""`graded results`: experiments gathered into one tidy table, as Parquet or CSV and on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from graded import params
from graded.cli import here, terminal
from graded.console import say
from graded.errors import MissingError, many
from graded.experiments import git, means, results, scores, tidy

OUT = Path("results/results.parquet")


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Experiments, branches, tags, commits or `workspace`; default: every experiment."),
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="Only experiments whose name starts with this.")] = None,
    out: Annotated[Path, typer.Option(help="Table to write: .parquet or .csv.")] = OUT,
    remote: Annotated[str | None, typer.Option(help="Git remote whose experiments are fetched first.")] = None,
) -> None:
    """Gather params, metrics, intervals and per-query scores; write RESULTS and, beside it, RESULTS.scores.

    Example: graded results --out results/figure5.csv --sweep figure5

    Example: graded results main workspace
    """
    here.repository("results")
    if remote:
        say(f"{many(git.fetch(remote), 'experiment')} fetched from {remote}")
    chosen = results.sources(names or None)
    if sweep:
        chosen = [one for one in chosen if one.name == sweep or one.name.startswith(f"{sweep}-")]
    if not chosen:
        raise MissingError("results: no experiment here; 'graded sweep figure5' or 'dvc exp run -S tau=3' makes some")
    older = [one for one in git.experiments() if one.commit not in {each.commit for each in chosen}]
    older = [one for one in older if not names and one.name in {each.name for each in chosen}]
    if older:
        first = f"{older[-1].name} {older[-1].commit[:7]}"
        say(f"{many(len(older), 'older result')} of the same names left out, such as {first}")
    rows, singles = results.gather(chosen)
    count = tidy.write(out, rows)
    beside = scores.beside(out)
    tidy.write(beside, singles, tidy.SCORES)
    show(rows, "same")
    say(
        f"{many(len(chosen), 'experiment')}, {many(count, 'row')}: {out};"
        f" {many(len(singles), 'per-query score')}: {beside}"
    )


def table_of(names: Sequence[str], kind: str) -> None:
    """Print the table of these experiments."""
    rows, _ = results.gather(results.sources(list(dict.fromkeys(names))))
    show(rows, kind)


def show(rows: list[dict[str, Any]], kind: str) -> None:
    """Print the primary metric of each experiment on the test sets, within 100 columns.

    ``kind`` is `same` (one line a language that the experiment trained on, at most one for `all`) or `cross`.
    """
    from graded.analysis import catalogue

    metric = str((params.at(params.load(), "evaluate.metrics") or ["nDCG@10"])[0])
    known = [(name, one) for name in test_sets(rows) for one in catalogue.measured(rows, name, metric)]
    for name, measured in known:
        lines = [line for one in by_experiment(rows, name, measured) if (line := shown(one, kind))]
        if not lines:
            continue
        found = terminal.table(f"{name}: {measured}", pad_edge=False)
        for at, column in enumerate(("experiment", "language", "base", "tuned", "change, 95% interval", "queries")):
            found.add_column(column, justify="right" if at > 1 else "left", overflow="fold" if at == 0 else "ellipsis")
        for line in lines:
            found.add_row(*line)
        terminal.show(found)


def test_sets(rows: list[dict[str, Any]]) -> list[str]:
    """Return the sets of ``rows`` that are reported, by name: those that not all experiments had as role `dev`."""
    return sorted({row["set"] for row in rows if row["role"] != "dev"})


def by_experiment(rows: list[dict[str, Any]], name: str, metric: str) -> list[list[dict[str, Any]]]:
    """Return the tuned rows of one set and metric, a list for each experiment."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["set"] == name and row["metric"] == metric and row["system"] == "tuned":
            found.setdefault(row["experiment"], []).append(row)
    return list(found.values())


def shown(rows: list[dict[str, Any]], kind: str) -> list[str] | None:
    """Return the cells of one experiment: its target language, or the mean over all its languages."""
    target = rows[0]["target"]
    own = [
        row
        for row in rows
        if (row["query_lang"] == row["doc_lang"]) == (kind == "same") and target in ("all", row["query_lang"])
    ]
    if not own:
        return None
    count = len(own)
    tuned = sum(row["value"] for row in own) / count
    change = sum(row["difference"] or 0.0 for row in own) / count
    text = f"{change:+.4f}"
    ends = (own[0]["difference_low"], own[0]["difference_high"])
    if count > 1:
        keys = [(row["set"], row["query_lang"], row["doc_lang"], "tuned", row["metric"]) for row in own]
        ends = means.change(own[0]["commit"], keys) or (None, None)
    if ends[0] is not None:
        text += f" [{ends[0]:+.4f}, {ends[1]:+.4f}]"
    label = target if target != "all" else "mean"
    label += f" to {count}" if kind == "cross" else f" of {count}" if target == "all" else ""
    queries = sum(row["queries"] for row in own)
    return [rows[0]["experiment"], label, f"{tuned - change:.4f}", f"{tuned:.4f}", text, f"{queries:,}"]
