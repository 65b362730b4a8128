"""The event loop on which batches are taken further, and how Ctrl-C and SIGTERM get out of it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from graded.errors import ResumeError

T = TypeVar("T")


class Loop:
    """Runs one coroutine after the other on one event loop, on which connections stay open.

    Inside :meth:`stoppable`, a signal cancels the coroutine that runs. Raising there would not do: a handler may be
    called within a callback of the loop, or below an ``except`` of the client library, where an exception is logged or
    the call is tried again, and the signal is forgotten.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._task: asyncio.Task[Any] | None = None
        self._inside = False
        self._why: ResumeError | None = None

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what ``call`` returns.

        Raises:
            ResumeError: a signal came, before it or while it ran; how far it came is not known.
        """
        self._inside = True
        try:
            found = self._runner.run(self._held(call))
        except asyncio.CancelledError:
            self._check()
            raise
        finally:
            self._inside = False
        self._check()
        return found

    def sleep(self, seconds: float) -> None:
        """Wait; errors as :meth:`run`."""
        self.run(asyncio.sleep(seconds))

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run ``last``, whether a signal came or not, and close the loop."""
        self._runner.run(last)
        self._runner.close()

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """While open, Ctrl-C and SIGTERM raise a ResumeError: at once between two calls, else out of :meth:`run`."""
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _held(self, call: Coroutine[Any, Any, T]) -> T:
        if self._why:
            call.close()
            raise self._why
        self._task = asyncio.current_task()
        try:
            return await call
        finally:
            self._task = None

    def _stop(self, number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        self._why = ResumeError(f"stopped by {name}; the batches go on without us, and the same command takes them in")
        if not self._inside:
            raise self._why
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _check(self) -> None:
        if self._why:
            raise self._why
