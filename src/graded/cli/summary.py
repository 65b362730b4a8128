"""`graded summary`: what the last run measured, used and cost, in one table of at most 100 columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graded import params
from graded.cli import here, terminal
from graded.cli.complete import sets
from graded.errors import ParamError, many, one_of
from graded.formats.record import read_record

if TYPE_CHECKING:
    from rich.table import Table

METRICS, PAIR = Path("metrics/evaluate.json"), Path("data/pair.parquet")
SHOWN = ("nDCG@10", "MRR@10", "recall@100")


def summary(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[SET]", help="A benchmark; default: all test sets.", autocompletion=sets),
    ] = None,
    directions: Annotated[bool, typer.Option("--directions", help="Each cross-lingual direction too.")] = False,
) -> None:
    """Show base and fine-tuned encoder per language, tau, pairs, dollars and replies.

    Example: graded summary --directions
    """
    here.repository("summary")
    record = read_record(METRICS)
    if name is not None and name not in record:
        raise ParamError(f"summary: {one_of(name, record)}")
    for one in [name] if name else [one for one in record if role(one) == "test"] or list(record):
        terminal.show(table(one, record[one], directions))
        if (beside := published(one, record[one])) is not None:
            terminal.show(beside)
    terminal.show(tau_line(), pair_line(), money_line())


def role(name: str) -> str:
    """Return ``test`` or ``dev``, from the benchmark's record; ``test`` where its folder was not pulled."""
    return str(here.benchmark(name).get("role", "test"))


def table(name: str, record: dict[str, Any], directions: bool) -> Table:
    """Return one benchmark's table; a change whose corrected p is below 0.05 has a star."""
    named = {metric.partition("-")[0]: metric for metric in next(iter(record.values()))["base"]}
    columns = [named[metric] for metric in SHOWN if metric in named]
    metrics = [metric for metric in columns if all(metric in part for part in record.values())]
    metrics = metrics or list(next(iter(record.values()))["base"])[:3]
    lexical = any("bm25" in part for part in record.values())
    starred = any(star(part, metrics[0]) for part in record.values())
    note = "* p < 0.05, paired randomisation test, Holm-corrected" if starred else None
    found = terminal.table(f"{name}: base → fine-tuned{protocol(name)}", note)
    found.add_column("language", no_wrap=True)
    for name in [*metrics, "change", *(["BM25"] if lexical else []), "queries"]:
        found.add_column(name, justify="right", no_wrap=True)
    for label, part in record.items():
        if "-" in label and label != "mean-cross" and not directions:
            continue
        cells = [f"{part['base'][metric]:.4f} → {part[metric]:.4f}" for metric in metrics]
        cells.append(f"{part[metrics[0]] - part['base'][metrics[0]]:+.4f}{star(part, metrics[0]) or ' '}")
        if lexical:
            # BM25 is exact: its metric has no index's name where the encoders' has one.
            words = {metric.partition("-")[0]: value for metric, value in part.get("bm25", {}).items()}
            cells.append(f"{words[metrics[0].partition('-')[0]]:.4f}" if words else "")
        cells.append(f"{part['queries']:,}" if "queries" in part else "")
        shown = {"mean-cross": "mean, cross-lingual"}.get(label, label)
        found.add_row(shown, *cells, style="bold" if label == "mean" else None)
    return found


def published(name: str, record: dict[str, Any]) -> Table | None:
    """Return what others report of this benchmark beside what was measured, or None where nobody does."""
    from graded.analysis.published import reference

    systems = reference(name, SHOWN[0])
    langs = [
        lang for lang, part in record.items() if SHOWN[0] in part and any(lang in one["values"] for one in systems)
    ]
    if not langs:
        return None
    found = terminal.table(f"{name}, {SHOWN[0]}: measured here, and as published", padding=(0, 1))
    found.add_column("system", no_wrap=True)
    for lang in langs:
        found.add_column(lang, justify="right", no_wrap=True)
    found.add_column("", overflow="fold")
    for label, part in (("fine-tuned", None), ("base", "base"), ("BM25", "bm25")):
        values = [(record[lang] if part is None else record[lang].get(part, {})).get(SHOWN[0]) for lang in langs]
        if any(value is not None for value in values):
            found.add_row(label, *(f"{value:.3f}" if value is not None else "" for value in values), "measured")
    for one in systems:
        values = [one["values"].get(lang) for lang in langs]
        cells = [f"{value:.3f}" if value is not None else "" for value in values]
        found.add_row(one["name"], *cells, f"published: {one['source']}", style="dim")
    return found


def protocol(name: str) -> str:
    """Return what a reader has to know about how a benchmark is searched, or nothing."""
    record = here.benchmark(name)
    if record.get("pool"):
        return f", over a pool (judged passages and the base's first {record['pool']}; gains look larger)"
    return ", re-ranking the listed passages" if record.get("protocol") == "listed" else ""


def star(part: dict[str, Any], metric: str) -> str:
    """Return ``*`` where the difference from the base is more than noise."""
    return "*" if part.get("difference", {}).get(metric, {}).get("p_holm", 1.0) < 0.05 else ""


def tau_line() -> str:
    """Return tau as params.yaml has it."""
    from graded.analysis.tau import canonical, told

    return f"tau            {told(canonical(params.shared('tau')))}"


def pair_line() -> str:
    """Return how many pairs were trained on."""
    import pyarrow.compute as pc

    from graded.formats.table import open_parquet

    if not PAIR.is_file():
        return "pairs          not here; 'dvc pull data/pair.parquet' fetches them"
    with open_parquet(PAIR) as file:
        positives = sum(pc.sum(batch.column(0)).as_py() or 0 for batch in file.iter_batches(columns=["positive"]))
        return f"pairs          {file.metadata.num_rows:,}, {positives:,} of them positive"


def money_line() -> str:
    """Return what the replies in use cost in the last run of the stages that ask for them."""
    from graded.llm.ledger import in_use

    runs = in_use()
    reused, bought = sum(one.reused for one in runs), sum(one.bought for one in runs)
    return f"dollars spent  {sum(one.dollars for one in runs):.2f} ({many(bought, 'reply')} bought, {reused:,} reused)"
