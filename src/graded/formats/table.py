"""Parquet tables between the stages: written atomically, streamed, byte-identical for equal rows.

DuckDB does the joins over these files; this module moves rows in and out of Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from graded.errors import DataError, MissingError, flat
from graded.formats.atomic import atomic

#: Rows a row group; bounds the memory of a writer and of a reader.
GROUP = 50_000

PASSAGES = pa.schema([("doc_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
QUERIES = pa.schema([("query_id", pa.string()), ("text", pa.string())])
QRELS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("relevance", pa.int32())])


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write ``rows``, tuples in the order of ``schema``, and return how many there were; memory is one row group."""
    count = 0
    iterator = iter(rows)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while group := list(islice(iterator, GROUP)):
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(group)
    return count


def read_rows(path: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of ``path`` (all columns, or those named, in that order), one row group in memory.

    Raises:
        MissingError: there is no such file.
        DataError: it is no Parquet file or lacks a column.
    """
    with open_parquet(path) as file:
        have = file.schema_arrow.names
        names = list(columns) or have
        for name in names:
            if name not in have:
                raise DataError(f"{path} has no column {name!r}; it has: {', '.join(have)}")
        for batch in file.iter_batches(columns=names, batch_size=GROUP):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def count_rows(path: Path) -> int:
    """Return the number of rows from the file's footer; errors as in :func:`read_rows`."""
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open ``path``; errors as in :func:`read_rows`."""
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise MissingError(f"no {path} here; 'dvc repro' makes it, 'dvc pull' fetches it") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file ({flat(error)}); delete it and 'dvc repro'") from None


def connect(*, memory_gb: float = 2.0, threads: int = 4) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection that spills to the system's temporary folder beyond ``memory_gb`` GB."""
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = true")
    connection.execute(f"SET memory_limit = '{memory_gb}GB'")
    connection.execute(f"SET threads = {threads}")
    return connection


def copy_query(
    connection: duckdb.DuckDBPyConnection, select: str, path: Path, parameters: list[Any] | None = None
) -> int:
    """Write the rows of ``select`` to ``path`` as Parquet and return how many; end ``select`` in ORDER BY.

    ``parameters`` fill the ``?`` of ``select``.
    """
    with atomic(path) as temporary:
        target = str(temporary).replace("'", "''")
        connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)", parameters or [])
        return int(pq.ParquetFile(temporary).metadata.num_rows)


def copy_queries(connection: duckdb.DuckDBPyConnection, selects: Iterable[str], path: Path) -> int:
    """Write the rows of several selects, one after another, to ``path`` as Parquet and return how many.

    Each is sorted on its own, so that the memory is that of the largest; row groups have :data:`GROUP` rows whatever
    the batches that DuckDB hands over, so that equal rows are equal bytes. End each of ``selects`` in ORDER BY.
    """
    count = 0
    with atomic(path) as temporary, ExitStack() as stack:
        writer: Any = None
        for select in selects:
            reader = connection.sql(select).to_arrow_reader(GROUP)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(temporary, reader.schema, compression="zstd"))
            for group in _groups(reader):
                writer.write_table(group)
                count += group.num_rows
    return count


def _groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in reader:
        waiting.append(batch)
        while sum(len(one) for one in waiting) >= GROUP:
            whole = pa.Table.from_batches(waiting)
            yield whole.slice(0, GROUP).combine_chunks()
            waiting = whole.slice(GROUP).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def refuse_duplicates(path: Path, *columns: str, what: str = "") -> None:
    """Return if no two rows of ``path`` agree in ``columns``; the check spills to disk, not to memory.

    ``what`` stands before the file's name in the error.

    Raises:
        DataError: names the first value that stands twice and how many do.
    """
    keys = ", ".join(columns)
    with connect() as connection:
        found = connection.execute(
            f"SELECT {keys}, count(*) OVER () FROM read_parquet(?) GROUP BY {keys} HAVING count(*) > 1 ORDER BY {keys}",
            [str(path)],
        ).fetchone()
    if found:
        name = f"{what} {path.stem}".strip()
        first = ", ".join(map(str, found[:-1]))
        raise DataError(
            f"{name}: {found[-1]:,} values of {keys} stand more than once, the first {first}; keep one of each"
        )


def refuse_white_space(path: Path, column: str, what: str = "") -> None:
    """Return if no id in ``column`` is empty or holds white space, which a TREC run could not carry, hours later.

    Raises:
        DataError: names the first that does and how many do; ``what`` stands before the file's name.
    """
    space = r"^$|[\s\x0b\x1c-\x1f\x85\p{Z}]"
    with connect() as connection:
        found = connection.execute(
            f"SELECT count(*), min({column}) FROM read_parquet(?) WHERE regexp_matches({column}, ?)", [str(path), space]
        ).fetchone()
    if found and found[0]:
        raise DataError(
            f"{what} {path.stem}".strip() + f": {found[0]:,} {column}s hold white space or are empty, the first"
            f" {found[1]!r}, which a TREC run cannot carry; replace it in the source, wherever it stands"
        )
