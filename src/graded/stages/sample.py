"""The passages that queries are written for, outside everything the benchmarks judge.

Where data/corpus says which passages are of one document, all of a document are outside as soon as one is relevant to a
benchmark's query.

Reads: data/corpus (<lang>.parquet, documents/<lang>.parquet where it is), data/benchmark.
Writes: data/sample/<lang>.parquet (doc_id, title, text), in the order of the draw: a larger sample begins with the
smaller one.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
from pydantic import Field

from graded import params
from graded.analysis.draw import draw_order
from graded.console import run, say
from graded.errors import DataError, many
from graded.formats import atomic, table
from graded.formats.record import read_record
from graded.records import Direction

CORPUS, BENCHMARK, OUT = Path("data/corpus"), Path("data/benchmark"), Path("data/sample")


class Params(params.Section):
    """How many passages to draw."""

    #: Passages a language; all that are free where there are fewer.
    size: int = Field(gt=0)
    #: Memory of the draw in GB; beyond it, it spills to disk.
    memory_gb: float = Field(default=2.0, gt=0)


def main() -> None:
    """Draw the sample of each language."""
    chosen, seed = params.section("sample", Params), params.seed()
    with atomic.atomic_folder(OUT) as out, table.connect(memory_gb=chosen.memory_gb) as connection:
        for lang in params.languages():
            judge(connection, BENCHMARK, lang)
            held = hold(connection, CORPUS / f"{lang}.parquet", CORPUS / "documents" / f"{lang}.parquet")
            if held:
                say(
                    f"sample {lang}: {many(held, 'passage', 'are')} of documents that a benchmark's queries are about;"
                    " left out"
                )
            count = draw(connection, CORPUS / f"{lang}.parquet", chosen.size, seed, out / f"{lang}.parquet")
            free = " (all that are free)" if count < chosen.size else ""
            say(f"sample {lang}: {count:,} of {chosen.size:,} passages{free}")
            if count == 0:
                raise DataError(
                    f"sample {lang}: every passage is judged by a benchmark or has the text of one that is; nothing is"
                    " left to train on: bring more passages, or take the language out of a set (benchmark.sets)"
                )


def judge(connection: duckdb.DuckDBPyConnection, benchmarks: Path, lang: str) -> None:
    """Fill the table ``judged`` (doc_id, hash, relevant) with every passage of ``lang`` that some benchmark judges.

    ``doc_id`` is empty where the benchmark has passages of its own: there only equal text counts.
    """
    connection.execute("CREATE OR REPLACE TABLE judged (doc_id VARCHAR, hash VARCHAR, relevant BOOLEAN)")
    for record in sorted(benchmarks.glob("*/benchmark.json")):
        for direction in read_record(record)["directions"]:
            if direction["doc_lang"] != lang:
                continue
            corpus = Path(direction["corpus"])
            qrels = record.parent / Direction(direction["query_lang"], lang).name / "qrels.parquet"
            own_ids = corpus.parent != CORPUS
            connection.execute(
                "INSERT INTO judged SELECT CASE WHEN ? THEN '' ELSE c.doc_id END, md5(c.text), q.relevant"
                " FROM read_parquet(?) c JOIN (SELECT doc_id, max(relevance) > 0 relevant FROM read_parquet(?)"
                " GROUP BY doc_id) q ON c.doc_id = q.doc_id",
                [own_ids, str(corpus), str(qrels)],
            )


def hold(connection: duckdb.DuckDBPyConnection, corpus: Path, documents: Path) -> int:
    """Add to ``judged`` every passage of ``corpus`` whose document has a relevant one; return how many these are."""
    if not documents.is_file():
        return 0
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE held AS WITH passage AS (SELECT d.doc_id, d.document, md5(c.text) hash"
        " FROM read_parquet(?) d JOIN read_parquet(?) c ON d.doc_id = c.doc_id), about AS (SELECT DISTINCT p.document"
        " FROM passage p WHERE p.doc_id IN (SELECT doc_id FROM judged WHERE relevant)"
        " OR p.hash IN (SELECT hash FROM judged WHERE relevant))"
        " SELECT doc_id, hash FROM passage SEMI JOIN about USING (document)",
        [str(documents), str(corpus)],
    )
    connection.execute("INSERT INTO judged SELECT doc_id, hash, false FROM held")
    row = connection.execute("SELECT count(*) FROM held").fetchone()
    return int(row[0]) if row else 0


def draw(connection: duckdb.DuckDBPyConnection, corpus: Path, size: int, seed: int, path: Path) -> int:
    """Write the first ``size`` unjudged passages of ``corpus`` by the hash of (seed, doc_id); return how many."""
    table.open_parquet(corpus).close()
    order = draw_order(seed, "c.doc_id")
    select = (
        "SELECT c.doc_id, c.title, c.text FROM read_parquet(?) c"
        " ANTI JOIN judged j ON c.doc_id = j.doc_id ANTI JOIN judged t ON md5(c.text) = t.hash"
        f" ORDER BY {order} LIMIT {size}"
    )
    return table.copy_query(connection, select, path, [str(corpus)])


if __name__ == "__main__":
    run(main)
