"""Who is buying what, among the processes of one clone: a byte-range lock a request, gone with its process.

The lock file stays empty. A request's byte is the first 62 bits of its key, so nothing is created, listed or cleaned
up, and the kernel drops a dead process's locks.
"""

from __future__ import annotations

import fcntl
import os
import struct

from graded.llm.store import Store

#: Locks of an open file rather than of a process (Linux), so that two ledgers in one process exclude each other too.
_OPEN_FILE = getattr(fcntl, "F_OFD_SETLK", None)


class Claims:
    """The claims of this process."""

    def __init__(self, store: Store) -> None:
        store.folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(store.folder / "claims", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, key: bytes) -> bool:
        """Claim ``key``; False where another process has it in flight."""
        try:
            self._lock(key, fcntl.F_WRLCK)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def drop(self, key: bytes) -> None:
        """Give ``key`` up, after its reply is durable or it is clear that none will come."""
        self._lock(key, fcntl.F_UNLCK)

    def close(self) -> None:
        """Give all up."""
        os.close(self._file)

    def _lock(self, key: bytes, kind: int) -> None:
        at = int.from_bytes(key[:8], "big") >> 2
        if _OPEN_FILE is not None:
            fcntl.fcntl(self._file, _OPEN_FILE, struct.pack("hhqqi", kind, os.SEEK_SET, at, 1, 0))
            return
        command = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.lockf(self._file, command, 1, at, os.SEEK_SET)
