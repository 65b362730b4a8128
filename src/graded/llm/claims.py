"""Who is buying what, among the processes of one clone: open reservations, as long as their process lives.

A reservation is durable before its request leaves, and its writer's file is locked until that process ends, however it
ends. So nothing else is written, listed or cleaned up, and a dead process's claims lapse with its lock.
"""

from __future__ import annotations

from graded.llm.state import State


class Claims:
    """The claims that ``state`` knows of; call :meth:`look` whenever it was refreshed."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._lives: dict[str, bool] = {}

    def look(self) -> None:
        """Forget which processes were alive."""
        self._lives.clear()

    def hold(self, short: bytes) -> bool:
        """Has a living process (or this one itself) this request in flight? ``short``: 16 bytes of its key."""
        name = short.hex()
        return any(name in held and self._alive(writer) for writer, held in self.state.held.items())

    def _alive(self, writer: str) -> bool:
        if writer not in self._lives:
            self._lives[writer] = self.state.store.lives(writer)
        return self._lives[writer]
