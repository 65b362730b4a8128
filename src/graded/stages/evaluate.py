"""nDCG@10 and its companions for every direction: tuned, base, and whether the difference is more than noise.

Reads: data/run/base, data/run/tuned and data/bm25 (TREC runs; the last may lack directions), data/benchmark.
Writes: data/evaluate/per_query.parquet (set, query_lang, doc_lang, system, query_id, metric, value) and
metrics/evaluate.json:

    {"<set>": {"<fi, or fi-ar where the languages differ>": {
        "nDCG@10": tuned, ..., "queries": n, "base": {"nDCG@10": ...}, "bm25": {"nDCG@10": ...},
        "difference": {"nDCG@10": {"mean": tuned - base, "low", "high", "p", "p_holm"}}}}}

and, where a set has several, their plain means under ``mean`` (same language) and ``mean-cross`` (the others). Of all
that, metrics/ndcg.json keeps the first metric, {"<set>": {"nDCG@10": {"fi": tuned}}}: what ``dvc exp show`` and ``dvc
metrics diff`` show. A set over a pool reports ``nDCG@10-pool``; one with exponential gain ``nDCG_exp@10``; one that an
approximate index searched ``nDCG@10-hnsw`` (BM25 and listed passages are exact, and never so named). p is of the paired
randomisation test, p_holm corrected over the directions of such a mean. Metrics deeper than a run are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from graded import params
from graded.analysis.compare import difference
from graded.analysis.evaluation import Scores, spoken, summary
from graded.console import run, say
from graded.errors import MissingError
from graded.formats import atomic, table, trec
from graded.formats.record import read_record
from graded.records import Direction
from graded.retrieval import measures

BENCHMARK = Path("data/benchmark")
OUT, METRICS, HEADLINE = Path("data/evaluate"), Path("metrics/evaluate.json"), Path("metrics/ndcg.json")
RUNS = {"tuned": Path("data/run/tuned"), "base": Path("data/run/base"), "bm25": Path("data/bm25")}
REQUIRED = ("tuned", "base")
#: Indexes that miss some passages; the stage retrieve names them in a run's tag.
APPROXIMATE = ("hnsw", "ivf")

PER_QUERY = pa.schema(
    [(name, pa.string()) for name in ("set", "query_lang", "doc_lang", "system", "query_id", "metric")]
    + [("value", pa.float64())]
)


class Params(params.Section):
    """What is measured and how sure the comparison is."""

    #: nDCG@k, nDCG_exp@k (gain 2^rel - 1), MRR@k, recall@k.
    metrics: tuple[str, ...] = Field(default=measures.METRICS, min_length=1)
    #: Those that are compared: difference, interval and tests.
    compare: tuple[str, ...] = ("nDCG@10",)
    #: Random sign assignments of the test, and bootstrap draws.
    resamples: int = Field(default=10_000, ge=100)
    #: Of the interval, a fraction.
    confidence: float = Field(default=0.95, gt=0, lt=1)


def main() -> None:
    """Score all runs, compare, write."""
    chosen, seed = params.section("evaluate", Params), params.seed()
    rows: list[tuple[Any, ...]] = []
    record: dict[str, Any] = {}
    headline: dict[str, Any] = {}
    for name, benchmark in benchmarks(BENCHMARK):
        listed = benchmark.get("protocol") == "listed"
        index = "" if listed else approximate(name, directions(name, benchmark))
        metrics, compare = (named(wanted, benchmark, index) for wanted in (chosen.metrics, chosen.compare))
        found: dict[Direction, Scores] = {}
        if not directions(name, benchmark):
            say(f"evaluate {name}: the tuned encoder did not search it (retrieve.sets, retrieve.directions); left out")
            continue
        for direction in directions(name, benchmark):
            qrels, scores = scored(name, direction, metrics | compare, index, listed=listed)
            found[direction] = scores
            rows.extend(long_rows(name, direction, list(qrels), scores))
        tested = {
            direction: {
                metric: difference(
                    scores["tuned"][metric],
                    scores["base"][metric],
                    seed=seed,
                    resamples=chosen.resamples,
                    confidence=chosen.confidence,
                )
                for metric in compare
            }
            for direction, scores in found.items()
        }
        record[name] = summary(found, tested)
        first = next(iter(metrics))
        headline[name] = {first: {label: part[first] for label, part in spoken(record[name]).items()}}
        tell(name, record[name], first)
    with atomic.atomic_folder(OUT) as out:
        table.write_rows(out / "per_query.parquet", PER_QUERY, rows)
    atomic.write_json(METRICS, record)
    atomic.write_json(HEADLINE, headline)


def approximate(name: str, todo: Sequence[Direction]) -> str:
    """Return ``-hnsw`` or ``-ivf`` where an encoder's runs were searched so, by their tags; empty where exactly."""
    paths = [RUNS[system] / name / f"{direction.name}.trec" for system in REQUIRED for direction in todo]
    tags = [trec.run_tag(path) for path in paths]
    return next((f"-{index}" for index in APPROXIMATE for tag in tags if tag.endswith(f"-{index}")), "")


def named(metrics: Sequence[str], benchmark: Mapping[str, Any], index: str = "") -> dict[str, str]:
    """Return name in the results -> measure, as a benchmark's gain and pool and an approximate index ask for."""
    gain = benchmark.get("gain", "linear")
    exponential = [metric.replace("nDCG@", "nDCG_exp@") for metric in metrics]
    wanted = {"linear": list(metrics), "exponential": exponential, "both": [*metrics, *exponential]}[gain]
    pooled = "-pool" if benchmark.get("pool") else ""
    return {metric + pooled + index: metric for metric in wanted}


def benchmarks(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the record of each benchmark, by name.

    Raises:
        MissingError: there is none.
        DataError: a benchmark.json is no JSON.
    """
    found = sorted(folder.glob("*/benchmark.json"))
    if not found:
        raise MissingError(f"no benchmark in {folder}; 'dvc repro benchmark' makes it, 'dvc pull' fetches it")
    for path in found:
        yield path.parent.name, read_record(path)


def directions(name: str, benchmark: Mapping[str, Any]) -> list[Direction]:
    """Return the directions of a benchmark that the tuned encoder was to search."""
    found = [Direction(one["query_lang"], one["doc_lang"]) for one in benchmark["directions"]]
    path = RUNS["tuned"] / "searched.json"
    if not path.is_file():
        return found
    searched = read_record(path, "retrieve@tuned").get(name, [])
    return [direction for direction in found if direction.name in searched]


def scored(
    name: str, direction: Direction, metrics: Mapping[str, str], index: str = "", *, listed: bool = False
) -> tuple[dict[str, dict[str, int]], Scores]:
    """Return the qrels of one direction and every system's values, in its queries' order; BM25's without ``index``."""
    path = BENCHMARK / name / direction.name / "qrels.parquet"
    judged = measures.by_query(table.read_rows(path, "query_id", "doc_id", "relevance"), str(path))
    qrels = {query_id: {doc_id: int(value) for doc_id, value in rows.items()} for query_id, rows in judged.items()}
    scores: Scores = {}
    for system, folder in RUNS.items():
        source = folder / name / f"{direction.name}.trec"
        if system not in REQUIRED and not source.is_file():
            continue
        hits = ((hit.query_id, hit.doc_id, hit.score) for hit in trec.read_run(source))
        ranked = measures.by_query(hits, str(source))
        values = measures.score(qrels, ranked, list(metrics.values()))
        lexical = system not in REQUIRED
        if lexical or not index:
            measures.deep_run(list(values), qrels, ranked, what=str(source), listed=listed, lexical=lexical)
        end = index if lexical else ""
        scores[system] = {shown.removesuffix(end): values[metric] for shown, metric in metrics.items()}
        absent = len(qrels.keys() - ranked.keys())
        if absent and system in REQUIRED:
            label = f"evaluate {name} {direction.label}"
            say(f"{label}: {system} has no line for {absent} of {len(qrels)} queries, which count 0")
    return qrels, scores


def long_rows(name: str, direction: Direction, queries: list[str], scores: Scores) -> Iterator[tuple[Any, ...]]:
    """Yield the per-query rows of one direction."""
    for system, values in scores.items():
        for metric, column in values.items():
            for query_id, value in zip(queries, column.tolist(), strict=True):
                yield (name, *direction, system, query_id, metric, value)


def tell(name: str, record: dict[str, Any], metric: str) -> None:
    """Print one line for each language, and one for the mean over directions whose languages differ."""
    for label, part in spoken(record).items():
        change = part[metric] - part["base"][metric]
        say(f"evaluate {name} {label}: {metric} {part[metric]:.4f}, base {part['base'][metric]:.4f} ({change:+.4f})")


if __name__ == "__main__":
    run(main)
