"""Units of work: finished once, found again after a restart; ``claims`` says who makes them.

A unit is a file under ``.work/`` whose name is the hash of all that its content depends on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from graded.formats.table import open_parquet
from graded.retrieval.description import digest


class Rows(NamedTuple):
    """Rows ``start`` up to ``stop`` of a Parquet file; the file's sha256 stands for its content."""

    path: Path
    sha256: str
    start: int
    stop: int


def content_key(*parts: Any) -> str:
    """Return 32 hex digits of the sha256 of ``parts`` as JSON."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def texts_key(texts: Sequence[str]) -> str:
    """Return the sha256 of ``texts`` in order; lengths are hashed too, so that no two lists share one."""
    made = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        made.update(len(data).to_bytes(8, "little"))
        made.update(data)
    return made.hexdigest()


def split_rows(path: Path, size: int) -> list[Rows]:
    """Cut a Parquet file into units of ``size`` rows, the last one smaller.

    Raises:
        MissingError, DataError: as :func:`graded.formats.table.open_parquet`.
    """
    with open_parquet(path) as file:
        count = int(file.metadata.num_rows)
    sha256 = digest(path)
    return [Rows(path, sha256, start, min(start + size, count)) for start in range(0, count, size)]


def same_content(paths: Iterable[Path]) -> dict[Path, Path]:
    """Return each path's first one with the same bytes, itself where there is none; only equal sizes are read."""
    by_size: dict[int, list[Path]] = {}
    for path in dict.fromkeys(paths):
        by_size.setdefault(path.stat().st_size if path.is_file() else -1, []).append(path)
    found: dict[Path, Path] = {}
    for size, group in by_size.items():
        first: dict[str, Path] = {}
        for path in group:
            found[path] = first.setdefault(digest(path), path) if size >= 0 and len(group) > 1 else path
    return found


def read_range(rows: Rows, columns: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
    """Yield ``columns`` of ``rows`` in batches of at most ``size``; only the row groups they lie in are read."""
    with open_parquet(rows.path) as file:
        groups: list[int] = []
        position = first = 0
        for index in range(file.metadata.num_row_groups):
            end = position + int(file.metadata.row_group(index).num_rows)
            if position < rows.stop and end > rows.start:
                if not groups:
                    first = position
                groups.append(index)
            position = end
        at = first
        for batch in file.iter_batches(columns=list(columns), row_groups=groups, batch_size=size):
            low, high = max(rows.start - at, 0), min(rows.stop - at, batch.num_rows)
            at += batch.num_rows
            if low < high:
                yield batch.slice(low, high - low)
