"""BEIR layout, the field's convention for bringing one's own data, plain or gzipped.

    corpus.jsonl[.gz]    {"_id", "title", "text"}
    queries.jsonl[.gz]   {"_id", "text"}
    qrels/<split>.tsv    header, then query-id <tab> corpus-id <tab> score

Layout: Thakur et al. 2021, "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models".
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graded.errors import DataError, MissingError
from graded.records import Passage, Qrel, Query


def passages(folder: Path) -> Iterator[Passage]:
    """Yield the passages of a BEIR folder in file order; a missing title is empty.

    Raises:
        MissingError: the folder holds no corpus.jsonl or corpus.jsonl.gz.
        DataError: damaged gzip, broken UTF-8, or a line without string ``_id`` and ``text``; the line is named.
    """
    for where, row in _objects(_find(folder, "corpus.jsonl")):
        yield Passage(_text(row, "_id", where), _text(row, "title", where, ""), _text(row, "text", where))


def queries(folder: Path) -> Iterator[Query]:
    """Yield the queries of a BEIR folder in file order; errors as in :func:`passages`."""
    for where, row in _objects(_find(folder, "queries.jsonl")):
        yield Query(_text(row, "_id", where), _text(row, "text", where))


def qrels(folder: Path, split: str) -> Iterator[Qrel]:
    """Yield the judgements of ``qrels/<split>.tsv``, judged zeros included.

    Raises:
        MissingError: no such split; the splits that are there are named.
        DataError: a line without three columns or with a score that is no whole number; the line is named.
    """
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        have = sorted(file.stem for file in (folder / "qrels").glob("*.tsv")) or ["none"]
        raise MissingError(f"no {path}; splits there: {', '.join(have)}")
    for number, line in enumerate(_lines(path), 1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and fields[-1] == "score"):
            continue
        if len(fields) != 3:
            raise DataError(f"{path}:{number}: {len(fields)} columns, expected query-id<tab>corpus-id<tab>score")
        try:
            yield Qrel(fields[0], fields[1], int(fields[2]))
        except ValueError:
            raise DataError(f"{path}:{number}: score {fields[2]!r} is no whole number") from None


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise MissingError(f"no {name} or {name}.gz in {folder}; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/")


def _lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: broken UTF-8 at byte {error.start} of the line") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip after line {number} ({error}); fetch the file again") from None


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: no JSON ({' '.join(str(error).split())[:80]})") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: received {type(row).__name__}, expected an object with _id and text")
        yield where, row


def _text(row: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (key == "_id" and not value):
        raise DataError(f"{where}: {key!r} is {value!r}, expected {'a non-empty' if key == '_id' else 'a'} string")
    # JSON can carry an unpaired surrogate, which no UTF-8 file can; it becomes U+FFFD.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
