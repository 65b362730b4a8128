"""Units of work: each claimed by one process, finished once, found again after a restart.

A unit is a file under ``.work/`` whose name is the hash of all that its content depends on. Whoever holds the
unit's lock makes it; whoever finds the file uses it. The lock is one byte of ``.work/lock``, a POSIX lock: the
kernel frees it when its holder dies, however it dies, so there is no lease to wait for and nothing to clean up.
A file system that does not share locks between hosts costs work done twice, never a wrong result: a unit's
content is a function of its name, and it appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa

from graded.formats.table import open_parquet
from graded.retrieval.distributed import Place

#: Seconds between two looks at units that other processes are making.
POLL = 0.1


class Rows(NamedTuple):
    """Rows ``start`` up to ``stop`` of a Parquet file; the file's sha256 stands for its content."""

    path: Path
    sha256: str
    start: int
    stop: int


def work_folder(word: str) -> Path:
    """Return ``.work/<word>`` of the main repository: experiments, queue workers and temp copies share it."""
    return Path(os.environ.get("DVC_ROOT") or ".") / ".work" / word


def content_key(*parts: Any) -> str:
    """Return 32 hex digits of the sha256 of ``parts`` as JSON."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def texts_key(texts: Sequence[str]) -> str:
    """Return the sha256 of ``texts`` in order; lengths are hashed too, so that no two lists share one."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def split_rows(path: Path, size: int) -> list[Rows]:
    """Cut a Parquet file into units of ``size`` rows, the last one smaller.

    Raises:
        MissingError, DataError: as :func:`graded.formats.table.open_parquet`.
    """
    with open_parquet(path) as file:
        count = int(file.metadata.num_rows)
    sha256 = _digest(path)
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
            found[path] = first.setdefault(_digest(path), path) if size >= 0 and len(group) > 1 else path
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


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


def finish(
    paths: Sequence[Path],
    make: Callable[[int], None],
    place: Place,
    *,
    results: Sequence[Path] | None = None,
    found: Callable[[int], None] | None = None,
) -> int:
    """See to it that every one of ``paths`` is there; return how many this process made.

    Args:
        paths: the units' files, content-keyed names (the same list in every process).
        make: writes ``paths[i]``, atomically.
        place: this process; each starts at its own part of the list, so that they seldom meet.
        results: what each unit is for; where that is there, the unit is no longer needed (and may be gone).
        found: called with each unit that was there already, or that another process made.

    Units that another living process is making are waited for; those of a dead one are taken over.
    """

    def needed(index: int) -> bool:
        return not (paths[index].exists() or (results is not None and results[index].exists()))

    turn = len(paths) * place.rank // place.world
    missing, mine = [*range(turn, len(paths)), *range(turn)], set[int]()
    with _lock_file() as lock:
        while missing:
            before = len(mine)
            for index in missing:
                if needed(index) and _claim(lock, paths[index]):
                    try:
                        if needed(index):
                            make(index)
                            mine.add(index)
                    finally:
                        _release(lock, paths[index])
            left = [index for index in missing if needed(index)]
            for index in set(missing) - set(left) - mine:
                if found:
                    found(index)
            missing = left
            if missing and len(mine) == before:
                time.sleep(POLL)
    return len(mine)


@contextmanager
def _lock_file() -> Iterator[IO[bytes]]:
    path = work_folder("lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield file


def _offset(path: Path) -> int:
    return int(hashlib.sha256(path.name.encode()).hexdigest()[:14], 16)


def _claim(lock: IO[bytes], path: Path) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(path))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _release(lock: IO[bytes], path: Path) -> None:
    fcntl.lockf(lock, fcntl.LOCK_UN, 1, _offset(path))
