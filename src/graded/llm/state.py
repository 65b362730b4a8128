"""What the ledger holds, kept small and kept current while other processes write to it: keys, dollars, reservations.

An open reservation is also the claim to its request: it is durable before the request leaves, and its writer's file
is locked until that process ends, however it ends. So nothing else is written, listed or cleaned up to say who is
buying what, and a dead process's claims lapse with its lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graded.errors import BudgetError
from graded.llm.batch_intent import Pending
from graded.llm.keys import KeySet
from graded.llm.lines import Entry, entry, entry_of, reply_key
from graded.llm.money import Money, kept
from graded.llm.store import Store


class State:
    """Keys of all replies, and dollars of each writer of this clone; :meth:`refresh` takes in what others wrote.

    Dollars of segments that came with the snapshot were spent elsewhere and are not counted here. Those of this clone's
    own segments are, also where a segment is damaged or deleted.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known = KeySet()
        self.money: dict[str, Money] = {}
        #: Open reservations: by writer, dollars by the first 16 bytes of the key as hex.
        self.held: dict[str, dict[str, float]] = {}
        self.sealed: set[str] = set()
        self._alive: set[str] = set()
        self._read: dict[str, int] = {}
        self._segments: set[str] = set()
        self._own: set[str] = set()
        #: Dollars that are kept apart from their segments, by segment and writer.
        self._kept: dict[str, dict[str, Money]] = {}
        self.pending = Pending(store.folder)

    def refresh(self) -> None:
        """Read the new lines of live files and the new segments (in this order: a sealed file is then in one).

        Batches under way come before both: what has left them by then is already in a live file. And whether a writer
        lives is asked before its file is read: what was still in flight when it was read stays claimed until the next
        refresh, which reads how it ended. Asked afterwards, a process that takes its last replies in and ends between
        the two would seem to have died without them, and they would be bought again.
        """
        self.pending.refresh()
        writers = self.store.writers()
        self._alive = {writer for writer in writers if self.store.lives(writer)}
        for writer, path in writers.items():
            if writer not in self.sealed and writer not in self._own:
                lines, self._read[writer] = self.store.read_live(path, self._read.get(writer, 0))
                self.note(writer, map(entry, lines))
        for name, path in self.store.segments().items():
            if name not in self._segments:
                self._segments.add(name)
                self._take_segment(name, self.store.read_segment(path))
        self._kept |= kept(self.store.money, self._kept)
        for one in self._kept.values():
            for writer, money in one.items():
                if writer not in writers:  # a left-over live file, whole, counts before what was kept of it
                    self.held.pop(writer, None)
                    self.money[writer] = money

    def in_flight(self, short: bytes) -> bool:
        """Did a living process (or this one itself) have this request in flight at the last refresh?

        ``short`` are the first 16 bytes of its key.
        """
        name = short.hex()
        return any(name in held and writer in self._alive for writer, held in self.held.items())

    def own(self, writer: str, records: Iterable[dict[str, Any]]) -> None:
        """Count what this process itself has just written as ``writer``, whose file need then not be read."""
        self._own.add(writer)
        self.note(writer, map(entry_of, records))

    def moved(self, old: str, new: str) -> None:
        """Count the open reservations of this process's ``old`` file, now sealed, with its ``new`` one."""
        self._own.add(new)
        self._alive.add(new)
        self.held[new] = self.held.pop(old, {})

    def note(self, writer: str, entries: Iterable[Entry]) -> None:
        """Count new ``entries`` of the live file of ``writer``."""
        paid, lost = self.money.get(writer, Money(0.0, 0.0))
        held = self.held.setdefault(writer, {})
        for kind, name, usd in entries:
            if kind == "hold":
                held[name] = usd
            elif kind in ("reply", "lost", "free"):
                held.pop(name, None)
            if kind == "reply":
                paid += usd
                self.known.add(bytes.fromhex(name))
            elif kind == "lost":
                lost += usd
        self.money[writer] = Money(paid, lost)

    def _take_segment(self, name: str, segment: Any) -> None:
        if segment is None:
            return
        head, lines = segment
        here = (self.store.sealed / name).exists()
        for writer, money in head["writers"].items():
            self.sealed.add(writer)
            self.held.pop(writer, None)
            self.money.pop(writer, None)
            if here:
                self.money[writer] = Money(*money)
        for line in lines:
            key = reply_key(line)
            if key is not None:
                self.known.add(key)

    @property
    def paid(self) -> float:
        """Dollars for replies that are here."""
        return sum(money.paid for money in self.money.values())

    @property
    def lost(self) -> float:
        """Dollars, at worst, for requests that may have been billed without a reply."""
        return sum(money.lost for money in self.money.values())

    @property
    def committed(self) -> float:
        """Dollars paid, possibly paid and reserved: what counts against a budget."""
        return self.paid + self.lost + self.reserved

    @property
    def reserved(self) -> float:
        """Dollars, at worst, for requests in flight (in batches too), or in flight when their process died."""
        return self.pending.reserved + sum(usd for held in self.held.values() for usd in held.values())

    def room(self, cap: float) -> float:
        """Return the dollars that a budget of ``cap`` leaves; below 0 where it is lower than what was spent before."""
        return cap - self.committed

    def full(self, cap: float, left: str) -> BudgetError:
        """Return the error of a budget of ``cap`` that has no room for the next request; ``left`` says what is left."""
        return BudgetError(
            f"the cap of ${cap:,.2f} is reached: ${self.paid:,.2f} paid, ${self.lost:,.2f} possibly paid, "
            f"${self.reserved:,.2f} reserved, {left}; raise GRADED_BUDGET_USD to go on"
        )
