"""MIRACL as its hub repositories lay it out, under one folder.

    miracl-corpus-v1.0-<lang>/docs-<n>.jsonl.gz            {"docid", "title", "text"}
    miracl-v1.0-<lang>/topics/topics.miracl-v1.0-<lang>-<split>.tsv   query_id <tab> text
    miracl-v1.0-<lang>/qrels/qrels.miracl-v1.0-<lang>-<split>.tsv     query_id <tab> Q0 <tab> docid <tab> relevance

Passages are kept as they are, also where texts repeat; qrels hold judged zeros. 64 million passages in six languages
are streamed by DuckDB into Parquet, in the order of the shards.

Source: Zhang et al. 2023, "MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages", TACL.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from graded.errors import DataError, MissingError, many
from graded.formats import table, trec
from graded.records import Passage, Qrel, Query
from graded.sources.lines import named, objects, text

#: Shards of each published corpus; a folder with fewer lacks passages.
SHARDS = {
    "ar": 5, "bn": 1, "de": 32, "en": 66, "es": 21, "fa": 5, "fi": 4, "fr": 30, "hi": 2, "id": 3, "ja": 14, "ko": 3,
    "ru": 20, "sw": 1, "te": 2, "th": 2, "yo": 1, "zh": 10,
}  # fmt: skip


def shards(folder: Path, lang: str, *, partial: bool = False) -> list[Path]:
    """Return the corpus files of ``lang`` by number; ``partial`` accepts fewer than were published.

    Raises:
        MissingError: there is none, or one is missing; the command that fetches it.
    """
    home = folder / f"miracl-corpus-v1.0-{lang}"
    found = {
        int(match[1]): path
        for path in home.glob("docs-*.jsonl.gz")
        if path.is_file() and (match := re.fullmatch(r"docs-(\d+)\.jsonl\.gz", path.name))
    }
    expected = max(found, default=-1) + 1 if partial else SHARDS.get(lang, max(found, default=-1) + 1)
    missing = [f"docs-{number}.jsonl.gz" for number in range(max(expected, 1)) if number not in found]
    if missing:
        raise MissingError(
            f"{home} lacks {len(missing)} of {max(expected, 1)} shards, the first {missing[0]};"
            f" fetch them: graded fetch miracl --part corpus --languages {lang} --to {folder}"
        )
    return [found[number] for number in sorted(found)]


def write_passages(folder: Path, lang: str, target: Path, *, partial: bool = False) -> int:
    """Write the corpus of ``lang`` to ``target`` (doc_id, title, text) and return the number of passages.

    Raises:
        MissingError: as :func:`shards`.
        DataError: damaged gzip, an empty shard, a line that is no JSON, or one without docid or text; file and line
            are named.
    """
    paths = shards(folder, lang, partial=partial)
    with ThreadPoolExecutor(max_workers=4) as workers:
        list(workers.map(sound, paths))
    return stream(paths, target)


def stream(paths: Sequence[Path], target: Path) -> int:
    """Write the JSON lines of ``paths`` to ``target`` by DuckDB; errors as in :func:`write_passages`."""
    import duckdb

    select = (
        "SELECT docid AS doc_id, coalesce(title, '') AS title, text FROM read_json(?, format = 'newline_delimited',"
        " columns = {docid: 'VARCHAR', title: 'VARCHAR', text: 'VARCHAR'}, maximum_object_size = 67108864)"
    )
    check = "SELECT count(*) FROM read_parquet(?) WHERE doc_id IS NULL OR doc_id = '' OR text IS NULL"
    with table.connect() as connection:
        try:
            count = table.copy_query(connection, select, target, [[str(path) for path in paths]])
        except duckdb.Error:
            # A bad line is named; what DuckDB alone does not read (a byte-order mark, half a surrogate) is read here.
            return table.write_rows(target, table.PASSAGES, read(paths))
        row = connection.execute(check, [str(target)]).fetchone()
    if row and row[0]:
        target.unlink()
        for _ in read(paths):
            pass
        raise DataError(f"{paths[0].parent}: {many(row[0], 'passage', 'lack')} docid or text")
    return count


def sound(path: Path) -> None:
    """Return if the gzip file ``path`` is whole by its own checksums, which DuckDB does not look at, and not empty.

    Raises:
        DataError: it is truncated, a byte of it has changed, or nothing is in it.
    """
    size = 0
    try:
        with gzip.open(path) as file:
            while block := file.read(1 << 22):
                size += len(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip ({error}); fetch the file again") from None
    if size == 0:
        raise DataError(f"{path}: empty, where a shard has thousands of passages; delete it and fetch it again")


def read(paths: Sequence[Path]) -> Iterator[Passage]:
    """Yield the passages of ``paths`` line by line; slower than DuckDB, and names the first bad line.

    Raises:
        DataError: as in :func:`write_passages`.
    """
    for path in paths:
        for where, row in objects(path):
            yield Passage(
                text(row, "docid", where, is_id=True), text(row, "title", where, ""), text(row, "text", where)
            )


def queries(folder: Path, lang: str, split: str) -> Iterator[Query]:
    """Yield the topics of a split.

    Raises:
        MissingError: no such file; the splits that are there, or the command that fetches it.
        DataError: a line that has not two columns; it is named.
    """
    path = _file(folder, lang, "topics", split)
    for query_id, words in named(path, "query_id"):
        yield Query(query_id, words)


def qrels(folder: Path, lang: str, split: str) -> Iterator[Qrel]:
    """Yield the judgements of a split, judged zeros included; errors as in :func:`queries`."""
    yield from trec.read_qrels(_file(folder, lang, "qrels", split))


def _file(folder: Path, lang: str, kind: str, split: str) -> Path:
    home = folder / f"miracl-v1.0-{lang}" / kind
    stem = f"{kind}.miracl-v1.0-{lang}-"
    path = home / f"{stem}{split}.tsv"
    if not path.is_file():
        have = sorted(file.stem.removeprefix(stem) for file in home.glob(f"{stem}*.tsv"))
        known = (
            f"splits there: {', '.join(have)}"
            if have
            else f"fetch it: graded fetch miracl --part topics --languages {lang} --to {folder}"
        )
        raise MissingError(f"no {path}; {known}")
    return path
