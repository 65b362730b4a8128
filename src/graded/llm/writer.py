"""One writer's live file: whole lines appended, synced in groups, sealed at 50,000 replies."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any, Self

from graded.errors import ServiceError
from graded.formats.atomic import raise_disk
from graded.llm.lines import encode
from graded.llm.store import Store

#: Replies a live file holds before it is sealed.
FULL = 50_000


def now() -> int:
    """Return the time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Writer:
    """Appends to a live file of its own, locked as long as this process lives; safe to call from threads."""

    def __init__(self, store: Store, *, full: int = FULL) -> None:
        self.store, self.full = store, full
        self._held: dict[str, bytes] = {}
        self._replies = 0
        self._mutex = threading.Lock()
        with store.lock():
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, records: list[dict[str, Any]]) -> list[bytes]:
        """Append ``records``, all or none, and return their lines; they are durable after :meth:`sync`.

        Raises:
            ServiceError: the disk is full or may not be written; the file is as it was before.
        """
        lines = [encode(fields) for fields in records]
        data = b"".join(lines)
        with self._mutex:
            try:
                done = 0
                while done < len(data):
                    done += os.write(self._file, data[done:])
            except OSError as error:
                os.ftruncate(self._file, self._size)
                raise_disk(self.path, error)
                raise ServiceError(f"cannot write {self.path}: {error.strerror}") from error
            self._size += len(data)
            for fields, line in zip(records, lines, strict=True):
                if fields["kind"] == "hold":
                    self._held[fields["key"]] = line
                else:
                    self._held.pop(fields["key"], None)
                if fields["kind"] == "reply":
                    self._replies += 1
                    self.store.replies += 1
                    self.store.dollars += fields["usd"]
        return lines

    def sync(self) -> None:
        """Make everything that was written durable; then seal the file if it is full."""
        os.fdatasync(self._file)
        if self._replies >= self.full:
            self.rotate()

    def rotate(self) -> None:
        """Seal the live file and go on in a new one (another :attr:`name`), which takes over the open reservations.

        They stand in both until the old file is gone, and in the new one before anybody can look under the budget
        lock: nobody finds a request unclaimed in between.
        """
        with self.store.lock("budget"), self._mutex:
            old, descriptor = self.path, self._file
            with self.store.lock():
                self._open()
            data = b"".join(self._held.values())
            os.write(self._file, data)
            os.fsync(self._file)
            self._size += len(data)
        with self.store.lock():
            self.store.seal([old], carried=True)
        os.close(descriptor)

    def close(self) -> None:
        """Sync and end; an empty file is removed."""
        with self.store.lock(), self._mutex:
            os.fsync(self._file)
            if not self._size:
                self.path.unlink(missing_ok=True)
            os.close(self._file)

    def _open(self) -> None:
        self.name = f"{now():x}-{os.getpid()}-{secrets.token_hex(4)}"
        self.store.live.mkdir(parents=True, exist_ok=True)
        self.path: Path = self.store.live / f"{self.name}.jsonl"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        folder = os.open(self.store.live, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self._size = self._replies = 0
