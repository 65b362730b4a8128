"""Exact top-k of an encoder for every direction of every benchmark, as TREC runs.

Reads: the encoder's folder (--encoder), data/benchmark/, the corpora that it names.
Writes: <run>/<set>/<ql>-<dl>.trec (--run).

Each corpus is encoded once, whatever the number of sets and query languages that search it; each language's queries
are encoded once. Also under `accelerate launch -m graded.stages.retrieve --encoder ... --run ...`: the processes
share the work, the first one writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from graded import params
from graded.console import Progress, run, say
from graded.errors import DataError, MissingError
from graded.formats import table, trec
from graded.formats.atomic import atomic_folder
from graded.records import Direction, Query
from graded.retrieval.distributed import place
from graded.retrieval.rerank import rerank
from graded.retrieval.search import Hits
from graded.retrieval.search_corpus import Searcher

BENCHMARK = Path("data/benchmark")
#: In the place of what only the first process knows.
NONE = Hits([], np.zeros((0, 0), np.float32))


class Params(params.Section):
    """Section ``retrieve``."""

    #: Passages a query that a run holds (recall@100 needs 100).
    k: int = Field(100, ge=1)
    #: What the encoder computes in.
    dtype: Literal["float32", "bfloat16"] = "float32"
    #: Passages that a process claims at a time; what a restart can lose.
    unit: int = Field(65536, ge=1)


class Task(NamedTuple):
    """One direction of one benchmark and its queries."""

    benchmark: str
    direction: Direction
    corpus: Path
    queries: list[Query]
    #: The only passages to rank, of each query; None where the whole corpus is searched.
    listed: list[list[str]] | None = None


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(prog="python -m graded.stages.retrieve", description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder, such as data/encoder")
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs, such as data/run/base")
    given = parser.parse_args()
    values, here = params.section("retrieve", Params), place()
    todo = tasks(BENCHMARK)
    searcher = Searcher.load(given.encoder, values.k, dtype=values.dtype, unit=values.unit, place=here)
    hits = search(searcher, todo, f"retrieve {given.run.name}")
    if here.first:
        with atomic_folder(given.run) as folder:
            for task, found in zip(todo, hits, strict=True):
                path = folder / task.benchmark / f"{task.direction.name}.trec"
                trec.write_run(path, lines(task.queries, found), f"graded-{given.run.name}")
        say(f"{given.run}: {len(todo)} runs, {sum(len(task.queries) for task in todo):,} queries")


def tasks(folder: Path) -> list[Task]:
    """Return every direction of every benchmark under ``folder``.

    Raises:
        MissingError, DataError: there is none, or a benchmark.json is not what it should be.
    """
    found = []
    for path in sorted(folder.glob("*/benchmark.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            for entry in record["directions"]:
                direction = Direction(entry["query_lang"], entry["doc_lang"])
                home = path.parent / direction.name
                queries = [Query(*row) for row in table.read_rows(home / "queries.parquet", "query_id", "text")]
                listed = listing(home, queries) if record.get("protocol") == "listed" else None
                found.append(Task(path.parent.name, direction, Path(entry["corpus"]), queries, listed))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: {type(error).__name__} {error}; 'dvc repro --force benchmark' writes it"
            ) from None
    if not found:
        raise MissingError(f"no benchmark under {folder}; 'dvc repro benchmark' makes them")
    return found


def listing(home: Path, queries: Sequence[Query]) -> list[list[str]]:
    """Return the judged passages of each query: what the re-ranking protocol lists."""
    judged: dict[str, list[str]] = {query.query_id: [] for query in queries}
    for query_id, doc_id in table.read_rows(home / "qrels.parquet", "query_id", "doc_id"):
        judged[query_id].append(doc_id)
    return list(judged.values())


def search(searcher: Searcher, todo: Sequence[Task], label: str) -> list[Hits]:
    """Return the hits of each task; corpora and queries that tasks share are encoded once."""
    vectors = encode(searcher, todo)
    found: dict[int, Hits] = {}
    for index, task in enumerate(todo):
        if task.listed is not None and searcher.place.first:
            asked = np.stack([vectors[task.direction.query_lang, query.text] for query in task.queries])
            found[index] = rerank(searcher.encoder, task.corpus, asked, task.listed, searcher.k)
    whole = [(index, task) for index, task in enumerate(todo) if task.listed is None]
    corpora = list(dict.fromkeys(task.corpus for _, task in whole))
    with Progress(label, sum(table.count_rows(corpus) for corpus in corpora), "passages") as progress:
        for corpus in corpora:
            mine = [(index, task) for index, task in whole if task.corpus == corpus]
            keys = [(task.direction.query_lang, query.text) for _, task in mine for query in task.queries]
            places = {key: number for number, key in enumerate(dict.fromkeys(keys))}
            stacked = np.stack([vectors[key] for key in places])
            hits = searcher.search(corpus, [text for _, text in places], stacked, progress=progress.update)
            for index, task in mine:
                rows = [places[task.direction.query_lang, query.text] for query in task.queries]
                found[index] = Hits([hits.ids[row] for row in rows], hits.scores[rows])
    return [found.get(index, NONE) for index in range(len(todo))]


def encode(searcher: Searcher, todo: Sequence[Task]) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
    """Return the vector of each language's each query text."""
    vectors: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
    for lang in dict.fromkeys(task.direction.query_lang for task in todo):
        same = (query.text for task in todo if task.direction.query_lang == lang for query in task.queries)
        texts = list(dict.fromkeys(same))
        for text, vector in zip(texts, searcher.encode_queries(texts), strict=True):
            vectors[lang, text] = vector
    return vectors


def lines(queries: Sequence[Query], hits: Hits) -> Iterator[trec.Hit]:
    """Yield a run's lines."""
    for query, ids, scores in zip(queries, hits.ids, hits.scores, strict=True):
        for rank, (doc_id, score) in enumerate(zip(ids, scores, strict=False), 1):
            yield trec.Hit(query.query_id, doc_id, rank, float(score))


if __name__ == "__main__":
    run(main)
