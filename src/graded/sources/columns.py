"""Rows of other people's tables and JSONL files, by the names that columns usually have."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graded.errors import DataError, many, one_of
from graded.sources.delimited import LONGEST, cells
from graded.sources.opened import kind_of, opened

#: Names that a column may have, the first that is there counts.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("_id", "id", "doc_id", "passage_id", "query_id", "qid", "docid"),
    "title": ("title", "heading"),
    "text": ("text", "passage", "contents", "content", "body", "context", "query", "question"),
    "document": ("document", "document_id", "article", "url", "source"),
    "query": ("query-id", "query_id", "qid", "query"),
    "passage": ("corpus-id", "doc_id", "docid", "passage_id", "passage"),
    "score": ("score", "relevance", "grade", "label"),
}

#: A row by column, or why it is none, behind the place where it stands.
Record = tuple[str, Mapping[str, Any] | str]


def records(path: Path, needed: list[str]) -> Iterator[Record]:
    """Yield the rows of a CSV, TSV or JSONL file, plain or gzipped; a table's header must have the ``needed`` columns.

    Raises:
        MissingError: no such file.
        DataError: another ending, damaged gzip, broken UTF-8, or a column is missing.
    """
    kind = kind_of(path)
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise DataError(f"{path}: {one_of(kind, ['.csv', '.tsv', '.jsonl'])}, each also with .gz")
    with opened(path) as file:
        try:
            yield from _jsonl(path, file) if kind == ".jsonl" else _table(path, file, kind, needed)
        except csv.Error as error:
            raise DataError(f"{path}: no {kind[1:].upper()} ({error})") from None


def unused(path: Path) -> list[str]:
    """Return the columns of a table, or of a JSONL file's first row, that nothing is read from."""
    kind = kind_of(path)
    if kind not in (".csv", ".tsv", ".jsonl"):
        return []
    with opened(path) as file:
        line = next(file, "")
    if kind == ".jsonl":
        row = next(_jsonl(path, iter([line])), ("", ""))[1]
        names = list(row) if isinstance(row, dict) else []
    else:
        names = next(csv.reader([line], delimiter=_delimiter(line, kind)), [])
    known = {one for some in ALIASES.values() for one in some}
    return [name.strip() for name in names if name.strip().lower() not in known]


def field(fields: Mapping[str, Any], name: str) -> str:
    """Return what stands in the column of this kind, empty where nothing does."""
    lower = {str(key).strip().lower(): value for key, value in fields.items()}
    for alias in ALIASES[name]:
        text = text_of(lower.get(alias))
        if text:
            return text
    return ""


def text_of(value: Any) -> str:
    """Return a text or a number as text that UTF-8 can carry, without white space around; nothing else is one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _table(path: Path, file: Iterator[str], kind: str, needed: list[str]) -> Iterator[Record]:
    csv.field_size_limit(LONGEST)
    header = next(file, "")
    delimiter = _delimiter(header, kind)
    names = next(csv.reader([header], delimiter=delimiter), [])
    have = {name.strip().lower() for name in names}
    for one in needed:
        if not have & {*ALIASES[one]}:
            raise DataError(
                f"{path}: the first line names no column for the {one}: received "
                f"{', '.join(name.strip() for name in names)[:80]!r}; legal: {', '.join(ALIASES[one])}"
            )
    for number, row in cells(file, delimiter, len(names)):
        where = f"{path}:{number + 1}"
        if isinstance(row, str):
            yield where, row
        elif len(row) < len(names):
            yield where, f"{many(len(row), 'field')}, the header has {len(names)}"
        elif len(row) > len(names):
            yield (
                where,
                f"{many(len(row), 'field')}, the header has {len(names)}: a {delimiter!r} that is not between quotes?",
            )
        else:
            yield where, dict(zip(names, row, strict=True))


def _delimiter(header: str, kind: str) -> str:
    """Return what separates the columns: of , ; tab | the one that gives most columns with known names."""
    return "\t" if kind == ".tsv" else max(",;\t|", key=lambda one: (_columns(header, one), header.count(one)))


def _columns(header: str, delimiter: str) -> int:
    """Return how many of a header's columns are known."""
    names = {name.strip().strip('"').lower() for name in header.split(delimiter)}
    return sum(bool(names & {*some}) for some in ALIASES.values())


def _jsonl(path: Path, file: Iterator[str]) -> Iterator[Record]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield f"{path}:{number}", row if isinstance(row, dict) else "no JSON object"
