"""Exact top-k of an encoder for every direction of every benchmark, as TREC runs.

Reads: the encoder's folder (--encoder), data/benchmark/, the corpora that it names.
Writes: <run>/<set>/<ql>-<dl>.trec (--run), and <run>/searched.json where ``retrieve.sets`` or ``retrieve.directions``
leave some out: {"<set>": ["<ql>-<dl>", ...]}.

Each corpus is encoded once, whatever the number of sets and query languages that search it or rank passages listed of
it; where all of them rank listed passages, those alone are encoded. Each language's queries are encoded once.
Also under `accelerate launch -m graded.stages.retrieve --encoder ... --run ...`: the processes share the work, the
first one writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from graded import params
from graded.console import Progress, run, say
from graded.errors import DataError, MissingError, ParamError, many, one_of
from graded.formats import atomic, table, trec
from graded.formats.record import read_record
from graded.records import Direction, Query
from graded.retrieval import gpu
from graded.retrieval.distributed import place
from graded.retrieval.memory import one_arena
from graded.retrieval.peers import once
from graded.retrieval.search import Hits
from graded.retrieval.search_corpus import Searcher
from graded.retrieval.search_jobs import Asked, Job
from graded.retrieval.shards import same_content

BENCHMARK = Path("data/benchmark")
#: What a run's tag says about its index.
APPROXIMATE: dict[str, list[str]] = {"exact": [], "hnsw": ["hnsw"], "ivf": ["ivf"]}


class Params(params.Section):
    """Section ``retrieve``."""

    #: Passages a query that a run holds (recall@100 needs 100).
    k: int = Field(100, ge=1)
    #: What the encoder computes in.
    dtype: Literal["float32", "bfloat16"] = "float32"
    #: Passages that a process claims at a time; what a restart can lose.
    unit: int = Field(65536, ge=1)
    #: ``drop``: vectors never touch the disk. ``keep``: those of whole corpora, float16 under .work/vectors/, for
    #: later searches.
    embeddings: Literal["drop", "keep"] = "drop"
    #: Benchmarks that are searched; null: all.
    sets: tuple[str, ...] | None = None
    #: ``all``, or ``target``: an encoder trained for one language (--target) searches for queries in it alone.
    directions: Literal["all", "target"] = "all"
    #: ``exact``; ``hnsw`` and ``ivf`` (faiss) miss some, hold a corpus in memory, and are named in the run's tag.
    index: Literal["exact", "hnsw", "ivf"] = "exact"


class Task(NamedTuple):
    """One direction of one benchmark and its queries."""

    benchmark: str
    direction: Direction
    corpus: Path
    queries: list[Query]
    #: The only passages to rank, of each query; None where the whole corpus is searched.
    listed: list[tuple[str, ...]] | None = None

    def asked(self) -> list[Asked]:
        """Return what each query asks of the corpus."""
        listed: Sequence[tuple[str, ...] | None] = self.listed or [None] * len(self.queries)
        lang = self.direction.query_lang
        return [Asked(lang, query.text, ids) for query, ids in zip(self.queries, listed, strict=True)]


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(prog="python -m graded.stages.retrieve", description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder, such as data/encoder")
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs, such as data/run/base")
    parser.add_argument("--target", default="all", help="language that it was trained for; all: no single one")
    given = parser.parse_args()
    one_arena()
    gpu.claim()
    values, here = params.section("retrieve", Params), place()
    known = tasks(BENCHMARK)
    todo = chosen(known, values.sets, given.target if values.directions == "target" else "all")
    keep, tag = values.embeddings == "keep", f"graded-{given.run.name}"
    searcher = Searcher.load(
        given.encoder, values.k, dtype=values.dtype, unit=values.unit, keep=keep, index=values.index, place=here
    )
    hits = search(searcher, todo, f"retrieve {given.run.name}")
    if here.first:
        with atomic.atomic_folder(given.run) as folder:
            for task, found in zip(todo, hits, strict=True):
                path = folder / task.benchmark / f"{task.direction.name}.trec"
                index = APPROXIMATE[values.index] if task.listed is None else []  # listed passages are ranked exactly
                trec.write_run(path, lines(task.queries, found), "-".join([tag, *index]))
            if len(todo) < len(known):
                atomic.write_json(folder / "searched.json", searched(todo))
        say(f"{given.run}: {many(len(todo), 'run')}, {many(sum(len(task.queries) for task in todo), 'query')}")
    else:
        say(f"{given.run}: process {here.rank + 1} of {here.world} has done its part")


def tasks(folder: Path) -> list[Task]:
    """Return every direction of every benchmark under ``folder``.

    Raises:
        MissingError, DataError: there is none, or a benchmark.json is not what it should be.
    """
    found = []
    for path in sorted(folder.glob("*/benchmark.json")):
        try:
            record = read_record(path)
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


def chosen(known: Sequence[Task], sets: Sequence[str] | None, target: str) -> list[Task]:
    """Return the tasks of ``sets`` (None: all) whose queries are in ``target`` (``all``: any language).

    Raises:
        ParamError: there is no such set, or nothing is left.
    """
    names = list(dict.fromkeys(task.benchmark for task in known))
    for name in sets or ():
        if name not in names:
            raise ParamError(f"retrieve.sets: {one_of(name, names)}")
    found = [task for task in known if sets is None or task.benchmark in sets]
    found = [task for task in found if target in ("all", task.direction.query_lang)]
    if not found:
        raise ParamError(
            f"retrieve.directions: 'target' leaves nothing: no query in {target!r} in {', '.join(sets or names)}"
        )
    return found


def searched(todo: Iterable[Task]) -> dict[str, list[str]]:
    """Return the names of the directions of each set."""
    found: dict[str, list[str]] = {}
    for task in todo:
        found.setdefault(task.benchmark, []).append(task.direction.name)
    return found


def listing(home: Path, queries: Sequence[Query]) -> list[tuple[str, ...]]:
    """Return the judged passages of each query: what the re-ranking protocol lists."""
    judged: dict[str, list[str]] = {query.query_id: [] for query in queries}
    for query_id, doc_id in table.read_rows(home / "qrels.parquet", "query_id", "doc_id"):
        judged[query_id].append(doc_id)
    return [tuple(ids) for ids in judged.values()]


def search(searcher: Searcher, todo: Sequence[Task], label: str) -> list[Hits]:
    """Return the hits of each task; a corpus that tasks share is encoded once, and so is a language's query text.

    Corpora of the same bytes are one, wherever they lie.
    """
    home = same_content(task.corpus for task in todo)
    asked: dict[Path, dict[Asked, int]] = {}
    for task in todo:
        places = asked.setdefault(home[task.corpus], {})
        for query in task.asked():
            places.setdefault(query, len(places))
    jobs = [Job(corpus, list(places)) for corpus, places in asked.items()]
    with Progress(label, sum(table.count_rows(corpus) for corpus in asked), "passages") as progress:
        found = searcher.search(jobs, progress=progress.update, tell=progress.tell)
    hits = dict(zip(asked, found, strict=True))
    return [hits[home[task.corpus]].take([asked[home[task.corpus]][query] for query in task.asked()]) for task in todo]


def lines(queries: Sequence[Query], hits: Hits) -> Iterator[trec.Hit]:
    """Yield a run's lines."""
    for query, ids, scores in zip(queries, hits.ids, hits.scores, strict=True):
        for rank, (doc_id, score) in enumerate(zip(ids, scores, strict=False), 1):
            yield trec.Hit(query.query_id, doc_id, rank, float(score))


if __name__ == "__main__":
    run(once(main))
