"""Exact top-k passages of the base encoder for each query: what the annotators will grade.

Reads: data/query/<lang>.parquet, data/sample/<lang>.parquet, data/encoder/.
Writes: data/candidate/<lang>.parquet (query_id, doc_id, rank, score), in the order of the queries.

Also under `accelerate launch -m graded.stages.candidate`: the processes share the work, the first one writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import Field

from graded import params
from graded.console import Progress, run, say
from graded.errors import DataError, many
from graded.formats import table
from graded.formats.atomic import atomic_folder
from graded.retrieval import gpu
from graded.retrieval.distributed import place
from graded.retrieval.memory import one_arena
from graded.retrieval.peers import once
from graded.retrieval.search import Hits
from graded.retrieval.search_corpus import Searcher
from graded.retrieval.search_jobs import Asked, Job

ENCODER, QUERY, SAMPLE, OUT = Path("data/encoder"), Path("data/query"), Path("data/sample"), Path("data/candidate")
SCHEMA = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("rank", pa.int32()), ("score", pa.float32())])


class Params(params.Section):
    """Section ``candidate``."""

    #: Passages a query that are graded (the paper: 5).
    k: int = Field(5, ge=1)
    #: What the encoder computes in.
    dtype: Literal["float32", "bfloat16"] = "float32"
    #: Passages that a process claims at a time; what a restart can lose.
    unit: int = Field(65536, ge=1)


def main() -> None:
    """Run the stage."""
    one_arena()
    gpu.claim()
    values, languages, here = params.section("candidate", Params), params.languages(), place()
    searcher = Searcher.load(ENCODER, values.k, dtype=values.dtype, unit=values.unit, place=here)
    total = sum(table.count_rows(SAMPLE / f"{lang}.parquet") for lang in languages)
    with Progress("candidate", total, "passages") as progress:
        found = {lang: search(searcher, lang, progress) for lang in languages}
    if here.first:
        with atomic_folder(OUT) as folder:
            for lang, (query_ids, hits) in found.items():
                count = table.write_rows(folder / f"{lang}.parquet", SCHEMA, rows(query_ids, hits))
                say(f"candidate {lang}: {many(count, 'pair')} of {many(len(query_ids), 'query')}")


def search(searcher: Searcher, lang: str, progress: Progress) -> tuple[list[str], Hits]:
    """Return the ids of a language's queries and their hits; queries without a text are left out."""
    sample = SAMPLE / f"{lang}.parquet"
    queries = [
        (query_id, text)
        for query_id, text, outcome in table.read_rows(QUERY / f"{lang}.parquet", "query_id", "text", "outcome")
        if outcome == "ok"
    ]
    if not queries:
        raise DataError(
            f"{QUERY / lang}.parquet has no query with outcome 'ok'; see its outcomes, then 'dvc repro query'"
        )
    texts = [text for _, text in queries]
    unique = list(dict.fromkeys(texts))
    places = {text: number for number, text in enumerate(unique)}
    job = Job(sample, [Asked(lang, text) for text in unique])
    [hits] = searcher.search([job], progress=progress.update, tell=progress.tell)
    return [query_id for query_id, _ in queries], hits.take([places[text] for text in texts])


def rows(query_ids: list[str], hits: Hits) -> Iterator[tuple[str, str, int, float]]:
    """Yield query_id, doc_id, rank (from 1) and score."""
    for query_id, ids, scores in zip(query_ids, hits.ids, hits.scores, strict=True):
        for rank, (doc_id, score) in enumerate(zip(ids, scores, strict=False), 1):
            yield query_id, doc_id, rank, float(score)


if __name__ == "__main__":
    run(once(main))
