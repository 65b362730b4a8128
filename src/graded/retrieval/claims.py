"""Who makes a unit of work: one process at a time, another one where the first is gone.

Whoever holds a unit's lock makes it; whoever finds its file uses it. The lock is one byte of ``.work/lock``, a POSIX
lock: the kernel frees it when its holder dies, however it dies, so there is no lease to wait for. A holder also
touches ``.work/making/<unit>`` every few seconds; where that stops while the lock stays (a host lost together with its
locks, a process that was stopped), the unit is taken over. A file system that does not share locks between hosts costs
work done twice, never a wrong result: a unit's content is a function of its name, and it appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import IO

from graded.console import say
from graded.formats.work import work_folder
from graded.retrieval.distributed import Place

#: Seconds between two looks at units that other processes are making.
POLL = 0.1
#: Seconds between two signs of a holder's life, and without one until it counts as gone.
BEAT, SILENT = 5.0, 120.0


def finish(
    paths: Sequence[Path],
    make: Callable[[int], None],
    place: Place,
    *,
    results: Sequence[Path] | None = None,
    found: Callable[[int], None] | None = None,
    tell: Callable[[str], None] = say,
) -> int:
    """See to it that every one of ``paths`` is there; return how many this process made.

    Args:
        paths: the units' files, content-keyed names (the same list in every process).
        make: writes ``paths[i]``, atomically.
        place: this process; each starts at its own part of the list, so that they seldom meet.
        results: what each unit is for; where that is there, the unit is no longer needed (and may be gone).
        found: called with each unit that was there already, or that another process made.
        tell: called with one line, once, where a unit is made that another process left unfinished.

    Units that another living process is making are waited for; those of a dead one are taken over.
    """

    def needed(index: int) -> bool:
        return not (paths[index].exists() or (results is not None and results[index].exists()))

    turn = len(paths) * place.rank // place.world
    missing, mine = [*range(turn, len(paths)), *range(turn)], set[int]()
    with _Claims.opened(place, tell) as claims:
        while missing:
            before = len(mine)
            for index in missing:
                if needed(index):
                    with claims.claim(paths[index]) as reason:
                        if reason is not None and needed(index):
                            claims.make(paths[index], reason, lambda index=index: make(index))  # type: ignore[misc]
                            mine.add(index)
            left = [index for index in missing if needed(index)]
            for index in set(missing) - set(left) - mine:
                if found:
                    found(index)
            missing = left
            if missing and len(mine) == before:
                time.sleep(POLL)
    return len(mine)


class _Claims:
    """The locks of this process, and what it has seen of others."""

    def __init__(self, lock: IO[bytes], place: Place, tell: Callable[[str], None]) -> None:
        self.lock, self.place, self.tell, self.told = lock, place, tell, False
        #: Unit -> the last sign of its holder's life, and since when it is the last.
        self.signs: dict[str, tuple[int, float]] = {}

    @classmethod
    @contextmanager
    def opened(cls, place: Place, tell: Callable[[str], None]) -> Iterator[_Claims]:
        path = work_folder("lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            yield cls(file, place, tell)

    @contextmanager
    def claim(self, path: Path) -> Iterator[str | None]:
        """Give None where another process makes the unit, else why it is this one's: empty, or whom it follows."""
        place = int(hashlib.sha256(path.name.encode()).hexdigest()[:14], 16)
        try:
            fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            yield f"a process has given no sign of life for {SILENT:.0f} s and" if self._silent(path) else None
            return
        try:
            yield "a process ended and" if _sign(path).exists() else ""
        finally:
            fcntl.lockf(self.lock, fcntl.LOCK_UN, 1, place)

    def make(self, path: Path, reason: str, make: Callable[[], None]) -> None:
        """Call ``make``, with signs of life beside it."""
        if reason and not self.told:
            here = f"process {self.place.rank + 1} of {self.place.world}" if self.place.world > 1 else "this one"
            self.tell(f"{reason} left a unit of its work unfinished; {here} makes it")
            self.told = True
        with _alive(_sign(path)):
            make()

    def _silent(self, path: Path) -> bool:
        try:
            sign = _sign(path).stat().st_mtime_ns
        except FileNotFoundError:  # its holder has only just begun, or is at the end
            sign = 0
        now = time.monotonic()
        last, since = self.signs.get(path.name, (None, now))
        if sign != last:
            self.signs[path.name] = sign, now
            return False
        return now - since > SILENT


def _sign(path: Path) -> Path:
    return work_folder("making", path.name)


@contextmanager
def _alive(sign: Path) -> Iterator[None]:
    """Touch ``sign`` now and again, until the end; it stays where the process is killed."""
    over = Event()

    def beat() -> None:
        while not over.wait(BEAT):
            sign.touch()

    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.touch()
    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sign.unlink(missing_ok=True)
