"""The baseline that reads words: BM25 runs of every direction whose languages are the same.

Reads: data/benchmark, the corpora that it names (data/corpus).
Writes: data/bm25/<set>/<lang>-<lang>.trec, ties broken as trec_eval does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from graded import params
from graded.console import run, say
from graded.errors import many
from graded.formats import atomic, table, trec
from graded.formats.record import read_record
from graded.records import Direction
from graded.retrieval.lexical import Bm25

BENCHMARK, OUT = Path("data/benchmark"), Path("data/bm25")


class Params(params.Section):
    """Of the BM25 baseline."""

    #: Off: no BM25 row in the tables.
    enabled: bool = True
    #: Passages a query in a run.
    k: int = Field(default=100, ge=1)
    #: Saturation of a word's count.
    k1: float = Field(default=0.9, ge=0)
    #: Weight of a passage's length.
    b: float = Field(default=0.4, ge=0, le=1)
    #: Passages of a corpus; the index is in memory (about 2.5 GB a million), a larger corpus has no BM25 row.
    most: int = Field(default=2_000_000, ge=1)


def main() -> None:
    """Write a run for each language of each benchmark; none where the stage is off."""
    chosen = params.section("bm25", Params)
    with atomic.atomic_folder(OUT) as out:
        for corpus, lang, tasks in corpora(BENCHMARK) if chosen.enabled else ():
            count = table.count_rows(corpus)
            if count > chosen.most:
                say(f"bm25 {corpus}: {count:,} passages, more than bm25.most ({chosen.most:,}); no run")
                continue
            index = Bm25(table.read_rows(corpus, "doc_id", "title", "text"), lang, k1=chosen.k1, b=chosen.b)
            for home, listed in tasks:
                name = home.parent.name
                trec.write_run(out / name / f"{home.name}.trec", hits(index, home, chosen.k, listed=listed), "bm25")
            say(f"bm25 {lang}: {many(count, 'passage')}, {many(len(tasks), 'benchmark')}")


def corpora(folder: Path) -> Iterator[tuple[Path, str, list[tuple[Path, bool]]]]:
    """Yield each corpus, its language, and the directions that search it: folder, and whether only listed count."""
    found: dict[tuple[Path, str], list[tuple[Path, bool]]] = {}
    for path in sorted(folder.glob("*/benchmark.json")):
        record = read_record(path)
        for one in record["directions"]:
            if one["query_lang"] == one["doc_lang"]:
                home = path.parent / Direction(one["query_lang"], one["doc_lang"]).name
                task = (home, record.get("protocol") == "listed")
                found.setdefault((Path(one["corpus"]), one["doc_lang"]), []).append(task)
    for (corpus, lang), tasks in found.items():
        yield corpus, lang, tasks


def hits(index: Bm25, home: Path, k: int, *, listed: bool) -> Iterator[trec.Hit]:
    """Yield the run of one direction; where ``listed``, a query's judged passages alone are ranked."""
    among: dict[str, list[str]] = {}
    if listed:
        for query_id, doc_id in table.read_rows(home / "qrels.parquet", "query_id", "doc_id"):
            among.setdefault(query_id, []).append(doc_id)
    for query_id, text in table.read_rows(home / "queries.parquet", "query_id", "text"):
        found = index.search(text, k, among.get(query_id, []) if listed else None)
        for rank, (doc_id, score) in enumerate(found, 1):
            yield trec.Hit(query_id, doc_id, rank, score)


if __name__ == "__main__":
    run(main)
