"""Test queries and qrels of every direction (query language, passage language) of every benchmark.

Reads: the sources named by ``benchmark.sets`` under ``benchmark.path``; data/corpus/<lang>.parquet for the sets that
judge its passages.
Writes: data/benchmark/<set>/benchmark.json, <ql>-<dl>/queries.parquet and qrels.parquet, and corpus/<lang>.parquet
where the set brings passages of its own. A pooled copy of a set is <set>-pool.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from graded import params
from graded.analysis.pool import pool_set
from graded.console import run, say
from graded.errors import DataError, MissingError, ParamError, many
from graded.formats import atomic, table
from graded.records import Direction, Qrel, Query
from graded.sources.readers import LAYOUTS, Clirmatrix, Folders, Miracl, Name, Reader

OUT, CORPUS = Path("data/benchmark"), Path("data/corpus")


class Set(params.Section):
    """One benchmark."""

    #: Layout of the files under ``benchmark.path``.
    source: Name = "beir"
    #: beir, trec: folder of a language under ``benchmark.path``, a pattern with ``{lang}`` or a mapping; languages
    #: that the mapping lacks are not in this benchmark. miracl, clirmatrix: the one folder, ``.`` by default.
    folder: str | dict[str, str] | None = None
    #: Name of the qrels file (MIRACL: dev; CLIRMatrix: dev, test1, test2).
    split: str = "test"
    #: beir, trec: ids are the same in each language, so that queries of one are judged against passages of all.
    cross_lingual: bool = False
    #: ``shared``: its passages are data/corpus/<lang>.parquet. ``own``: it brings passages, searched on their own.
    #: Default: ``own`` for clirmatrix, else ``shared``.
    corpus: Literal["shared", "own"] | None = None
    #: ``test`` sets are reported; ``dev`` sets are what decisions (tau, early stops) may look at.
    role: Literal["test", "dev"] = "test"
    #: ``collection``: the whole corpus is searched. ``listed``: only a query's judged passages are ranked.
    protocol: Literal["collection", "listed"] = "collection"
    #: Of nDCG: ``linear`` (trec_eval's), ``exponential`` (2^rel - 1, reported as nDCG_exp), or ``both``.
    gain: Literal["linear", "exponential", "both"] = "linear"
    #: Judgements that name queries or passages which are not there: an ``error``, or ``drop`` and count them.
    unknown: Literal["error", "drop"] = "error"
    #: Folder under ``benchmark.path`` with the base's runs (<ql>-<dl>.trec) that make the pool.
    pool_runs: str | None = None

    @property
    def own(self) -> bool:
        """Whether it brings passages."""
        return (self.corpus or ("own" if self.source == "clirmatrix" else "shared")) == "own"

    def reader(self, path: Path, languages: list[str]) -> Reader:
        """Return the set's files as one source."""
        if self.source in LAYOUTS:
            folder = "{lang}" if self.folder is None else self.folder
            if isinstance(folder, str):
                folder = {lang: folder.replace("{lang}", lang) for lang in languages}
            folders = {lang: path / folder[lang] for lang in languages if lang in folder}
            return Folders(self.source, folders, self.split, cross_lingual=self.cross_lingual)
        if isinstance(self.folder, dict):
            raise ParamError(f"folder: received {self.folder!r}; {self.source} has one folder for all languages")
        home = path / (self.folder or ".")
        if self.source == "miracl":
            return Miracl(home, languages, self.split)
        return Clirmatrix(home, languages, self.split, listed=self.protocol == "listed")


class Params(params.Section):
    """Which benchmarks there are."""

    #: Root folder of the sets; DVC tracks its content.
    path: Path
    #: ``full``: whole corpora. ``candidates``: judged passages and the base's first hits alone, of the sets that have
    #: ``pool_runs``. ``both``: the pool beside the whole.
    pool: Literal["full", "candidates", "both"] = "full"
    #: Hits a query of the base that enter the pool.
    pool_top: int = Field(default=100, ge=1)
    #: Name of a benchmark (a folder name) and where it comes from.
    sets: dict[str, Set] = Field(min_length=1)


def main() -> None:
    """Write all sets, or none."""
    chosen, languages = params.section("benchmark", Params), params.languages()
    if chosen.pool != "full" and not any(one.pool_runs for one in chosen.sets.values()):
        raise ParamError(
            f"benchmark.pool: received {chosen.pool!r}, and no set has pool_runs; legal: full, or benchmark.sets.<set>."
            "pool_runs, a folder under benchmark.path with the base's runs: cp data/run/base/<set>/*.trec ..."
        )
    readers = {name: one.reader(chosen.path, languages) for name, one in chosen.sets.items()}
    if not any(reader.directions() for reader in readers.values()):
        raise ParamError("benchmark.sets: none of the sets has a folder for one of the run's languages")
    homes = corpora(chosen, readers)
    with atomic.atomic_folder(OUT) as out:
        for name in sorted(chosen.sets, key=lambda name: homes[name] != name):
            one = chosen.sets[name]
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ParamError(f"benchmark.sets: received {name!r}; a name has letters, digits, '-' and '_' only")
            if not readers[name].directions():
                say(f"benchmark {name}: none of the run's languages; left out")
                continue
            record = write_set(out, name, one, readers[name], homes[name])
            if chosen.pool != "full" and one.pool_runs is not None:
                pool_set(out, OUT, record, chosen.path / one.pool_runs, chosen.pool_top)
                if chosen.pool == "candidates":
                    shutil.rmtree(out / name)


def corpora(chosen: Params, readers: dict[str, Reader]) -> dict[str, str]:
    """Return each set's home: where its own passages are, the first set that brings all of the same source.

    So two splits, or both protocols, of one source are one corpus, which is encoded once.
    """
    found: dict[str, str] = {}
    whole: dict[object, str] = {}
    for name, one in sorted(chosen.sets.items(), key=lambda item: item[1].protocol == "listed"):
        langs = tuple(sorted({direction.doc_lang for direction in readers[name].directions()}))
        key = (one.source, str(one.folder), langs) if one.own and not one.pool_runs else name
        found[name] = whole.get(key, name)
        if one.protocol == "collection":
            whole.setdefault(key, name)
    return found


def write_set(out: Path, name: str, one: Set, reader: Reader, home: str) -> dict[str, Any]:
    """Write one benchmark to ``out/name`` and return its record; its own passages are those of the set ``home``.

    Queries without a relevant judged passage in a direction are left out of it and counted.
    """
    directions = reader.directions()
    if isinstance(reader, Clirmatrix) and (absent := reader.absent()):
        names = ", ".join(direction.name for direction in absent)
        say(f"benchmark {name}: no file of {many(len(absent), 'direction')}, left out: {names}")
    folder = out / home / "corpus" if one.own else CORPUS
    corpora = {direction.doc_lang: folder / f"{direction.doc_lang}.parquet" for direction in directions}
    if one.own and home == name:
        for lang, target in corpora.items():
            if not reader.write_passages(lang, target):
                raise DataError(f"benchmark {name}: no passage in {lang!r}; fetch its file again")
            table.refuse_duplicates(target, "doc_id", what=f"benchmark {name} corpus")
            table.refuse_white_space(target, "doc_id", what=f"benchmark {name} corpus")
    for direction in directions:
        queries, qrels = reader.judged(direction)
        write_direction(out / name, name, one, direction, queries, qrels, corpora[direction.doc_lang])
    record = {
        "name": name,
        "role": one.role,
        "protocol": one.protocol,
        "gain": one.gain,
        "source": one.source,
        "split": one.split,
        "directions": [entry(direction, OUT / home / "corpus" if one.own else CORPUS) for direction in directions],
    }
    atomic.write_json(out / name / "benchmark.json", record)
    return record


def entry(direction: Direction, corpora: Path) -> dict[str, str]:
    """Return a direction's line of benchmark.json."""
    return {**direction._asdict(), "corpus": str(corpora / f"{direction.doc_lang}.parquet")}


def write_direction(
    out: Path, name: str, one: Set, direction: Direction, queries: list[Query], qrels: list[Qrel], corpus: Path
) -> None:
    """Write queries.parquet and qrels.parquet of one direction under ``out``."""
    label = f"benchmark {name} {direction.label}"
    if direction.query_lang == direction.doc_lang or not one.cross_lingual:
        qrels = known_queries(label, one, qrels, {query.query_id for query in queries})
    rows = relevant_only(qrels, {query.query_id for query in queries})
    judged = {row.query_id for row in rows}
    kept = [query for query in queries if query.query_id in judged]
    if not kept:
        raise DataError(
            f"{label}: no query of split {one.split!r} has a relevant passage ({many(len(queries), 'query')},"
            f" {many(len(qrels), 'judgement')}); " + remedy(name, one)
        )
    folder = out / direction.name
    table.write_rows(folder / "queries.parquet", table.QUERIES, kept)
    table.refuse_duplicates(folder / "queries.parquet", "query_id", what=label)
    table.refuse_white_space(folder / "queries.parquet", "query_id", what=label)
    table.write_rows(folder / "qrels.parquet", table.QRELS, sorted(rows))
    table.refuse_duplicates(folder / "qrels.parquet", "query_id", "doc_id", what=label)
    known_passages(label, one, folder / "qrels.parquet", corpus)
    if direction.query_lang == direction.doc_lang:
        say(f"{label}: {many(len(kept), 'query')}, {many(len(rows), 'judgement')}")
    bare = [query.query_id for query in kept if not query.text.strip()]
    if bare:
        say(f"{label}: {many(len(bare), 'query', 'have')} no text, the first {bare[0]!r}; all are searched as they are")


def remedy(name: str, one: Set) -> str:
    """Return what to do about a direction without a judged query."""
    if one.source in LAYOUTS:
        return f"to leave the language out: benchmark.sets.{name}.folder, a mapping from the others to their folders"
    return f"look at its files under {one.folder or '.'!r}, or fetch them again: graded fetch {one.source}"


def known_queries(label: str, one: Set, qrels: list[Qrel], queries: set[str]) -> list[Qrel]:
    """Return the judgements of ``queries``; others are an error, or dropped and counted."""
    unknown = [row for row in qrels if row.query_id not in queries]
    if unknown:
        report(label, one, len(unknown), "queries", f"{unknown[0].query_id!r}")
    return [row for row in qrels if row.query_id in queries]


def known_passages(label: str, one: Set, qrels: Path, corpus: Path) -> None:
    """Return if every judged passage is in ``corpus``; others are an error, or dropped and counted."""
    if not corpus.is_file():
        raise MissingError(f"no {corpus} here, whose passages {label} judges; 'dvc repro corpus' makes it")
    with table.connect() as connection:
        unknown = connection.execute(
            "SELECT count(*), min(doc_id) FROM read_parquet(?) ANTI JOIN read_parquet(?) c USING (doc_id)",
            [str(qrels), str(corpus)],
        ).fetchone()
        if unknown and unknown[0]:
            report(label, one, unknown[0], "passages", f"{unknown[1]!r}")
            select = "SELECT * FROM read_parquet(?) SEMI JOIN read_parquet(?) c USING (doc_id) ORDER BY ALL"
            table.copy_query(connection, select, qrels, [str(qrels), str(corpus)])


def report(label: str, one: Set, count: int, what: str, first: str) -> None:
    """Say that judgements are dropped.

    Raises:
        DataError: they may not be.
    """
    text = f"{label}: {many(count, 'judgement', 'name')} {what} that are not there, the first {first}"
    if one.unknown == "error":
        raise DataError(f"{text}; to leave them out and count them: benchmark.sets.<set>.unknown: drop")
    say(f"{text}; dropped")


def relevant_only(qrels: list[Qrel], queries: set[str]) -> list[Qrel]:
    """Return the judgements of those ``queries`` that have at least one relevant passage."""
    with_relevant = {row.query_id for row in qrels if row.relevance > 0} & queries
    return [row for row in qrels if row.query_id in with_relevant]


if __name__ == "__main__":
    run(main)
