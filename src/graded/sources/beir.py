"""BEIR layout, the field's convention for bringing one's own data, plain or gzipped.

    corpus.jsonl[.gz]    {"_id", "title", "text"}
    queries.jsonl[.gz]   {"_id", "text"}
    qrels/<split>.tsv[.gz]    header or none, then query-id <tab> corpus-id <tab> score
    documents.jsonl      {"_id", "document"}: passages of one document; ours, and only where there are such

An ``_id`` may be a whole number, a score may be written as 1.0.

Layout: Thakur et al. 2021, "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graded.errors import DataError, MissingError, many
from graded.formats import trec
from graded.records import Passage, Qrel, Query
from graded.sources.lines import lines, objects, text


def passages(folder: Path) -> Iterator[Passage]:
    """Yield the passages of a BEIR folder in file order; a missing title is empty.

    Raises:
        MissingError: the folder holds no corpus.jsonl or corpus.jsonl.gz.
        DataError: damaged gzip, broken UTF-8, or a line without string ``_id`` and ``text``; the line is named.
    """
    for where, row in objects(_find(folder, "corpus.jsonl")):
        yield Passage(text(row, "_id", where, is_id=True), text(row, "title", where, ""), text(row, "text", where))


def queries(folder: Path, split: str = "") -> Iterator[Query]:
    """Yield the queries of a BEIR folder in file order, of whatever split; errors as in :func:`passages`."""
    for where, row in objects(_find(folder, "queries.jsonl")):
        yield Query(text(row, "_id", where, is_id=True), text(row, "text", where))


def qrels(folder: Path, split: str) -> Iterator[Qrel]:
    """Yield the judgements of ``qrels/<split>.tsv`` (or that with .gz), judged zeros included.

    Raises:
        MissingError: no such split; the splits that are there are named.
        DataError: a line without three columns or with a score that is no whole number; the line is named.
    """
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file() and path.with_name(f"{path.name}.gz").is_file():
        path = path.with_name(f"{path.name}.gz")
    if not path.is_file():
        have = sorted({file.name.partition(".tsv")[0] for file in (folder / "qrels").glob("*.tsv*")}) or ["none"]
        raise MissingError(f"no {path}, nor that with .gz; splits there: {', '.join(have)}")
    for number, line in enumerate(lines(path), 1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and _is_header(line)):
            continue
        if len(fields) != 3:
            raise DataError(
                f"{path}:{number}: {many(len(fields), 'column')}, expected query-id<tab>corpus-id<tab>score"
            )
        yield Qrel(fields[0], fields[1], trec.relevance(fields[2], f"{path}:{number}", "score"))


def documents(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and the document of each passage that shares its document with another one; none without the file.

    Raises:
        DataError: a line without string ``_id`` and ``document``; the line is named.
    """
    path = folder / "documents.jsonl"
    if path.is_file():
        for where, row in objects(path):
            yield text(row, "_id", where, is_id=True), text(row, "document", where)


def _is_header(line: str) -> bool:
    """Return whether a first line names columns (its last word has no digit), in whatever words."""
    return not any(character.isdigit() for character in line.split()[-1])


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    others = sorted(path.name for path in folder.parent.glob("*") if path.is_dir()) if not folder.is_dir() else []
    beside = f"; folders beside it: {', '.join(others)}" if others else ""
    raise MissingError(
        f"no {name} or {name}.gz in {folder}; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/{beside}"
    )
