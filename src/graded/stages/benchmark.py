"""Test queries and qrels of every direction (query language, passage language) of every benchmark.

Reads: the sources named by ``benchmark.sets`` under ``benchmark.path``.
Writes: data/benchmark/<set>/benchmark.json, <ql>-<dl>/queries.parquet and qrels.parquet, and corpus/<lang>.parquet
where the set brings passages of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from graded import params
from graded.console import run, say
from graded.errors import ParamError
from graded.formats import atomic, table
from graded.records import Direction, Qrel
from graded.sources import beir

OUT = Path("data/benchmark")


class Set(params.Section):
    """One benchmark."""

    source: Literal["beir"] = "beir"
    #: Folder of a language under ``benchmark.path``: a pattern with ``{lang}``, or a mapping; languages that the
    #: mapping lacks are not in this benchmark.
    folder: str | dict[str, str] = "{lang}"
    #: Name of the qrels file.
    split: str = "test"
    #: Ids are the same in each language, so that queries of one are judged against passages of every other.
    cross_lingual: bool = False
    #: ``shared``: its passages are data/corpus/<lang>.parquet. ``own``: it brings passages, searched on their own.
    corpus: Literal["shared", "own"] = "shared"
    #: ``test`` sets are reported; ``dev`` sets are what decisions (tau, early stops) may look at.
    role: Literal["test", "dev"] = "test"

    def folders(self, path: Path, languages: list[str]) -> dict[str, Path]:
        """Return the folder of each language that this benchmark has."""
        if isinstance(self.folder, str):
            return {lang: path / self.folder.replace("{lang}", lang) for lang in languages}
        return {lang: path / self.folder[lang] for lang in languages if lang in self.folder}


class Params(params.Section):
    """Which benchmarks there are."""

    #: Root folder of the sets; DVC tracks its content.
    path: Path
    #: Name of a benchmark (a folder name) and where it comes from.
    sets: dict[str, Set] = Field(min_length=1)


def main() -> None:
    """Write all sets, or none."""
    chosen = params.section("benchmark", Params)
    with atomic.atomic_folder(OUT) as out:
        for name, one in chosen.sets.items():
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ParamError(f"benchmark.sets: received {name!r}; a name has letters, digits, '-' and '_' only")
            write_set(out / name, name, one, one.folders(chosen.path, params.languages()))


def write_set(out: Path, name: str, one: Set, folders: dict[str, Path]) -> None:
    """Write one benchmark; ``folders`` maps each of its languages to a BEIR folder.

    Queries without a relevant judged passage in a direction are left out of it and counted.
    """
    if not folders:
        raise ParamError(
            f"benchmark.sets.{name}: none of the run's languages has a folder; see benchmark.sets.*.folder"
        )
    queries = {lang: list(beir.queries(folder)) for lang, folder in folders.items()}
    qrels = {lang: list(beir.qrels(folder, one.split)) for lang, folder in folders.items()}
    if one.corpus == "own":
        for lang, folder in folders.items():
            target = out / "corpus" / f"{lang}.parquet"
            table.write_rows(target, table.PASSAGES, beir.passages(folder))
            table.refuse_duplicates(target, "doc_id")
    directions = []
    for query_lang in folders:
        for doc_lang in folders if one.cross_lingual else [query_lang]:
            direction = Direction(query_lang, doc_lang)
            rows = relevant_only(qrels[doc_lang], {query.query_id for query in queries[query_lang]})
            judged = {row.query_id for row in rows}
            kept = [query for query in queries[query_lang] if query.query_id in judged]
            folder = out / direction.name
            table.write_rows(folder / "queries.parquet", table.QUERIES, kept)
            table.write_rows(folder / "qrels.parquet", table.QRELS, sorted(rows))
            table.refuse_duplicates(folder / "qrels.parquet", "query_id", "doc_id")
            root = OUT / name if one.corpus == "own" else Path("data")
            corpus = str(root / "corpus" / f"{doc_lang}.parquet")
            directions.append({"query_lang": query_lang, "doc_lang": doc_lang, "corpus": corpus})
            if query_lang == doc_lang:
                say(f"benchmark {name} {query_lang}: {len(kept):,} queries, {len(rows):,} judgements")
    record = {"name": name, "role": one.role, "protocol": "full collection", "gain": "linear", "directions": directions}
    atomic.write_json(out / "benchmark.json", record)


def relevant_only(qrels: list[Qrel], queries: set[str]) -> list[Qrel]:
    """Return the judgements of those ``queries`` that have at least one relevant passage."""
    with_relevant = {row.query_id for row in qrels if row.relevance > 0} & queries
    return [row for row in qrels if row.query_id in with_relevant]


if __name__ == "__main__":
    run(main)
