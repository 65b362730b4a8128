"""Atomic writes: a file is whole under its name, or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from graded.errors import ServiceError

#: This machine, in temporary names: a process number says nothing about another's.
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
TEMPORARY = re.compile(r"\.([^/]+)\.([0-9a-f]{6})-([0-9a-f]+)-[0-9a-f]{8}\.tmp")
_swept: set[Path] = set()

#: How DuckDB, safetensors and Arrow word a full disk, whose errors are no OSError.
FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "os error 28")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is fsynced and moved there, on error removed.

    Raises:
        ServiceError: the disk is full or may not be written (one line that names the file); nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except Exception as error:
        raise_disk(path, error)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it takes the place of ``path``, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        _place(temporary, path)
        _sync(path.parent)
    except Exception as error:
        raise_disk(path, error)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _place(folder: Path, path: Path) -> None:
    """Move ``folder`` to ``path``; what is there goes. Where two processes do this at once the later one's stays."""
    while True:
        try:
            folder.replace(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        old = _temporary(path)
        with suppress(FileNotFoundError):
            path.replace(old)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON that diffs well: two spaces, keys as given, one line end at the end."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def raise_disk(path: Path, error: Exception) -> None:
    """Raise a ServiceError where ``error`` is a full or read-only disk, whichever library says it; otherwise return.

    ``path`` is what could not be written.
    """
    path = Path(TEMPORARY.sub(r"\1", str(path)))
    number = error.errno if isinstance(error, OSError) else None
    said = str(error)
    if number in (errno.ENOSPC, errno.EDQUOT) or any(text in said for text in FULL):
        raise ServiceError(f"disk full while writing {path}; nothing was half-written; free space and run again") from (
            error
        )
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or os.strerror(errno.EROFS) in said:
        why = os.strerror(number or errno.EROFS)
        raise ServiceError(f"may not write {path} ({why}); check the folder's rights") from error


def _temporary(path: Path) -> Path:
    """Return a name beside ``path`` that nobody else takes; what dead processes left in the folder is removed."""
    folder = path.parent.resolve()
    if folder not in _swept:
        _swept.add(folder)
        for left in folder.iterdir():
            found = TEMPORARY.fullmatch(left.name)
            if found and found[2] == HOST:
                import psutil  # late: such a name is seldom there

                if not psutil.pid_exists(int(found[3], 16)):
                    shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{HOST}-{os.getpid():x}-{uuid.uuid4().hex[:8]}.tmp")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
