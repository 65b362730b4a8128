"""One self-contained page about the run, and its figures and tables as files.

Reads: data/evaluate/per_query.parquet, data/pair.parquet, data/grade, data/query, data/sample,
data/benchmark/<set>/benchmark.json, metrics/evaluate.json, metrics/agree.json, params.yaml, and, to say where the run
comes from, git and the notes that the ledger keeps of its last use.
Writes: report/index.html; report/figures/<name>.vl.json and .svg; report/plots/<name>.png, which `dvc plots` shows;
report/tables/<name>.csv.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from graded import params
from graded.analysis import catalogue, figures_draw
from graded.analysis.figures import Figure, slug
from graded.analysis.page import build, sections, sweeps
from graded.analysis.page.blocks import Browser, Column, Data, Drawing, Fact, Facts, Grid, Section
from graded.analysis.page.examples import sample
from graded.analysis.page.measured import by_arm, measured
from graded.analysis.tables import Table, csv_rows
from graded.analysis.tau import canonical, told
from graded.console import run, say
from graded.errors import many
from graded.formats import atomic, table
from graded.formats.record import read_record
from graded.languages import language_name
from graded.llm.ledger import in_use
from graded.repository import git_says

DATA, OUT = Path("data"), Path("report")
EVALUATE, AGREE = Path("metrics/evaluate.json"), Path("metrics/agree.json")
PER_QUERY = ("set", "query_lang", "doc_lang", "system", "metric", "value")
#: What a run is made from; the last commit that changed any of it names the run.
INPUTS = ("src", "params.yaml", "dvc.yaml", "prompts", "accelerate.yaml")


class Params(params.Section):
    """What the page shows."""

    #: Graded pairs that can be read on the page, over all languages; a sample where there are more.
    examples: int = Field(default=1200, gt=0, le=5000)
    #: Where a passage is cut, in characters.
    characters: int = Field(default=700, gt=0, le=2000)


def main() -> None:
    """Write the page of this run."""
    write(OUT)


def write(out: Path, results: Sequence[Mapping[str, Any]] = (), scores: Any = None) -> None:
    """Write page, figures and tables into the folder ``out``, which is replaced.

    Args:
        out: the folder.
        results: rows of the tidy results, for the parts about several experiments.
        scores: values of single queries, for the intervals of relative changes (see ``analysis.tables.Scores``).
    """
    chosen, seed, languages = params.section("report", Params), params.seed(), params.languages()
    everything = params.load()
    record, agree = read_record(EVALUATE), read_record(AGREE)
    rows = measured(record, by_arm(table.read_rows(DATA / "evaluate" / "per_query.parquet", *PER_QUERY)), seed=seed)
    roles = {name: role(name) for name in record}
    sets = sorted(record, key=lambda name: (roles[name] != "test", name))
    metric = catalogue.primary(rows)
    counts = [count(lang) for lang in languages]
    tau = told(canonical(everything["tau"]))
    compared, absent = sweeps.sections(catalogue.figures(results), catalogue.tables(results, scores), results)
    parts = [
        Section("run", "The run", (Facts(facts(everything, counts, tau)),)),
        sections.results(rows, sets, metric),
        sections.across(rows, sets, metric),
        *compared,
        sections.data(counts, agree),
        sections.agreement(agree),
        examples(chosen, languages, everything["annotators"], seed),
        *absent,
        Section("parameters", "Parameters", (parameter_table(everything),)),
    ]
    found = [part for part in parts if part is not None]
    title = "What the threshold changed" if results else f"A run at τ = {tau}"
    colophon = "Made by graded. Figures are inline SVG drawn by Vega-Lite; this file loads nothing from anywhere."
    page = build.html(title, sections.lead(rows, sets[0], metric, tau), found, colophon)
    with atomic.atomic_folder(out) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
        drawn, laid = files(folder, found)
    size = len(page.encode("utf-8")) / 1e6
    say(f"report: {out}/index.html ({size:.1f} MB), {many(drawn, 'figure')}, {many(laid, 'table')}")


def files(folder: Path, parts: Iterable[Section]) -> tuple[int, int]:
    """Write every figure and table of the page as files; return how many of each."""
    blocks = [block for part in parts for block in part.blocks]
    figures: list[Figure] = [block.figure for block in blocks if isinstance(block, Drawing)]
    tables = [block for block in blocks if isinstance(block, Grid | Data)]
    for figure in figures:
        figures_draw.save(figure, folder / "figures", folder / "plots")
    for block in tables:
        if isinstance(block, Grid):
            save_tables([block.table], folder / "tables")
        else:
            atomic.write_text(folder / "tables" / f"{slug(block.name)}.csv", as_csv(plain(block)))
    return len(figures), len(tables)


def plain(block: Data) -> list[tuple[str, ...]]:
    """Return a data table's rows with its head, numbers in full."""
    head = tuple(column.name for column in block.columns)
    return [head, *(tuple(one if isinstance(one, str) else f"{one[1]:.10g}" for one in row) for row in block.rows)]


def save_tables(tables: Iterable[Table], folder: Path) -> int:
    """Write laid-out tables as CSV; return how many."""
    written = 0
    for one in tables:
        atomic.write_text(folder / f"{slug(one.name)}.csv", as_csv(csv_rows(one)))
        written += 1
    return written


def as_csv(lines: Iterable[Sequence[str]]) -> str:
    """Return lines as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def role(name: str) -> str:
    """Return ``test`` or ``dev``, from the benchmark's record."""
    return str(read_record(DATA / "benchmark" / name / "benchmark.json").get("role", "test"))


def count(lang: str) -> dict[str, Any]:
    """Return how much there is of one language."""
    with table.connect(memory_gb=1.0) as connection:
        queries = connection.execute(
            "SELECT count(*) FILTER (outcome = 'ok'), count(*) FILTER (outcome <> 'ok') FROM read_parquet(?)",
            [str(DATA / "query" / f"{lang}.parquet")],
        ).fetchall()[0]
        pairs = connection.execute(
            "SELECT count(*), count(*) FILTER (positive) FROM read_parquet(?) WHERE lang = ?",
            [str(DATA / "pair.parquet"), lang],
        ).fetchall()[0]
    passages = table.count_rows(DATA / "sample" / f"{lang}.parquet")
    names = ("lang", "passages", "queries", "refused_queries", "pairs", "positives")
    return dict(zip(names, (lang, passages, *queries, *pairs), strict=True))


def facts(everything: Mapping[str, Any], counts: Sequence[Mapping[str, Any]], tau: str) -> tuple[Fact, ...]:
    """Return what was run, in a few lines."""
    pairs, positives = (sum(row[name] for row in counts) for name in ("pairs", "positives"))
    encoder, train = everything.get("encoder") or {}, everything.get("train") or {}
    revision = str(encoder.get("revision") or "")[:12]
    runs = in_use()
    bought, reused = sum(one.bought for one in runs), sum(one.reused for one in runs)
    lines = [
        Fact("Threshold τ", tau, "grades at or above it are positives"),
        Fact("Languages", ", ".join(language_name(row["lang"]) for row in counts)),
        Fact("Annotators", ", ".join(map(str, everything["annotators"])), f"trained on: {everything['annotator']}"),
        Fact("Training pairs", f"{pairs:,}", f"{positives:,} of them positive"),
        Fact("Base encoder", str(encoder.get("name", "unknown")), f"revision {revision}" if revision else ""),
        Fact("Objective", str(train.get("objective", "infonce"))),
    ]
    if runs:
        dollars = sum(one.dollars for one in runs)
        note = f"{many(bought, 'reply')} bought, {reused:,} reused, at the last run"
        lines.append(Fact("Dollars", f"{dollars:,.2f}", note))
    return (*lines, commit())


def commit() -> Fact:
    """Return the last commit that changed what the run is made from, and whether that was changed since."""
    found = git_says(Path(), "log", "-1", "--format=%H", "--", *INPUTS)
    if not found:
        return Fact("Commit", "none", "not in a git repository, or nothing committed")
    changed = git_says(Path(), "status", "--porcelain", "--untracked-files=no", "--", *INPUTS)
    return Fact("Commit", found[:12], "with uncommitted changes" if changed else "of code, prompts and parameters")


def examples(chosen: Params, languages: Sequence[str], annotators: Sequence[str], seed: int) -> Section:
    """Return the graded pairs that can be read on the page."""
    rows, total = sample(DATA, languages, annotators, count=chosen.examples, characters=chosen.characters, seed=seed)
    note = f"All {total:,} graded pairs."
    if len(rows) < total:
        note = (
            f"A sample of {len(rows):,} of {total:,} graded pairs: in each language every combination of grades has "
            "its share, so rare ones are over-represented. report.examples in params.yaml sets how many."
        )
    cut = f" Passages are cut at {chosen.characters:,} characters." if any(row["cut"] for row in rows) else ""
    return Section("examples", "Examples", (Browser(tuple(rows), tuple(languages), tuple(annotators), note + cut),))


def parameter_table(everything: Mapping[str, Any]) -> Data:
    """Return every parameter of the run."""
    rows = tuple((name, value) for name, value in _flat("", everything))
    return Data("params", "params.yaml", (Column("parameter"), Column("value")), rows)


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    run(main)
