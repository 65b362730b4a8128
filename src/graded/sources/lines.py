"""Lines and JSON objects of plain or gzipped files; what is damaged is named with its file and line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graded.errors import DataError, flat, many


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of ``path`` (gzipped where it ends in .gz) without their ends; a leading BOM is dropped.

    Raises:
        DataError: truncated or damaged gzip, or broken UTF-8; the line is named.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: broken UTF-8 at byte {error.start} of the line") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip after line {number} ({error}); fetch the file again") from None


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``file:line`` and the JSON object of every line that is not blank.

    Raises:
        DataError: as :func:`lines`, or a line that is no JSON object.
    """
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: no JSON ({flat(error, 80)})") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: received {type(row).__name__}, expected an object")
        yield where, row


def text(row: dict[str, Any], key: str, where: str, default: str | None = None, *, is_id: bool = False) -> str:
    """Return ``row[key]``, a string; ``default`` where it is absent or null.

    An id may not be empty, and may be a whole number: then it is its digits.

    Raises:
        DataError: it is no string, or absent without a default; ``where`` names the line.
    """
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if is_id and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or (is_id and not value):
        raise DataError(f"{where}: {key!r} is {value!r}, expected {'a non-empty' if is_id else 'a'} string")
    # JSON can carry an unpaired surrogate, which no UTF-8 file can; it becomes U+FFFD.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def named(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the id, which is called ``name``, and the text of every line ``id <tab> text`` that is not blank.

    Raises:
        DataError: as :func:`lines`, or a line that has not two columns, or an empty id.
    """
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        found = line.split("\t")
        if len(found) != 2:
            raise DataError(f"{path}:{number}: {many(len(found), 'column')}, expected 2: {name}<tab>text")
        if not found[0]:
            raise DataError(f"{path}:{number}: the {name} is empty")
        yield found[0], found[1]


def whole(value: Any, what: str, where: str) -> int:
    """Return ``value`` as a whole number.

    Raises:
        DataError: it is none; ``what`` and ``where`` name it.
    """
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise DataError(f"{where}: {what} {value!r} is no whole number")
