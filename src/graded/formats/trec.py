"""TREC run and qrels files, the field's exchange formats.

A run line is ``query_id Q0 doc_id rank score tag``; a qrels line is ``query_id 0 doc_id relevance``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from graded.errors import DataError, MissingError, many
from graded.formats.atomic import atomic
from graded.records import Qrel


class Hit(NamedTuple):
    """One line of a run; ``rank`` counts from 1."""

    query_id: str
    doc_id: str
    rank: int
    score: float


def write_run(path: Path, hits: Iterable[Hit], tag: str) -> None:
    """Write a run; scores with nine significant digits, so that float32 survives the trip.

    Raises:
        DataError: an id holds white space or is empty, which this format cannot carry.
    """
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, doc_id, rank, score in hits:
            for name in (query_id, doc_id):
                if len(name.split()) != 1 or name.strip() != name:
                    raise DataError(f"{path}: id {name!r} is empty or holds white space, which a TREC run cannot carry")
            file.write(f"{query_id} Q0 {doc_id} {rank} {score:.9g} {tag}\n")


def read_run(path: Path) -> Iterator[Hit]:
    """Yield a run's lines in file order.

    Raises:
        MissingError: no such file.
        DataError: a line that has not six fields, a rank or score that is no number; the line is named.
    """
    for number, fields in _lines(path, 6, "query_id Q0 doc_id rank score tag"):
        try:
            yield Hit(fields[0], fields[2], int(fields[3]), float(fields[4]))
        except ValueError:
            raise DataError(f"{path}:{number}: rank {fields[3]!r} or score {fields[4]!r} is no number") from None


def run_tag(path: Path) -> str:
    """Return the tag of a run's first line, empty where there is none; errors as in :func:`read_run`."""
    for _, fields in _lines(path, 6, "query_id Q0 doc_id rank score tag"):
        return fields[5]
    return ""


def read_qrels(path: Path) -> Iterator[Qrel]:
    """Yield a TREC qrels file's lines; errors as in :func:`read_run`."""
    for number, fields in _lines(path, 4, "query_id 0 doc_id relevance"):
        yield Qrel(fields[0], fields[2], relevance(fields[3], f"{path}:{number}"))


def relevance(text: str, where: str, name: str = "relevance") -> int:
    """Return a judgement's grade.

    Raises:
        DataError: it is no whole number, or none that 32 bits hold; ``where`` names the line, ``name`` the column.
    """
    try:
        value = int(text)
    except ValueError:
        value = _whole(text, where, name)
    if not -(1 << 31) <= value < 1 << 31:
        raise DataError(f"{where}: {name} {text!r} is out of range; grades are small whole numbers")
    return value


def _whole(text: str, where: str, name: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise DataError(f"{where}: {name} {text!r} is no whole number")
    return int(number)


def _lines(path: Path, width: int, layout: str) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != width:
                    raise DataError(f"{path}:{number}: {many(len(fields), 'field')}, expected {width}: {layout}")
                yield number, fields
    except FileNotFoundError:
        raise MissingError(f"no {path} here; 'dvc repro' makes it, 'dvc pull' fetches it") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start})") from None
