"""What the ledger holds, kept small and kept current while other processes write to it: keys, dollars, reservations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graded.llm.lines import decode, reply_key
from graded.llm.store import Money, Store

#: Bytes of a key that are compared in memory: two of 3 million keys agree in 16 bytes with probability 1e-26.
WIDTH = 16
KEY = np.dtype(f"S{WIDTH}")
Keys = NDArray[np.bytes_]


def pack(keys: Iterable[bytes]) -> Keys:
    """Return 32-byte ``keys`` as an array of their first 16 bytes, in order."""
    return np.frombuffer(b"".join(key[:WIDTH] for key in keys), dtype=KEY)


class KeySet:
    """A set of keys at 16 bytes each: a sorted array, and a Python set for what came lately."""

    def __init__(self) -> None:
        self._base: Keys = np.empty(0, dtype=KEY)
        self._late: set[bytes] = set()

    def __len__(self) -> int:
        self._merge()
        return len(self._base)

    def add(self, key: bytes) -> None:
        """Add a key."""
        self._late.add(key[:WIDTH])
        if len(self._late) >= 100_000:
            self._merge()

    def has(self, key: bytes) -> bool:
        """Is this key here?"""
        short = key[:WIDTH]
        return short in self._late or bool(self.mask(np.frombuffer(short, dtype=KEY), merge=False)[0])

    def mask(self, keys: Keys, *, merge: bool = True) -> NDArray[np.bool_]:
        """Return for each of ``keys`` whether it is here."""
        if merge:
            self._merge()
        if not len(self._base):
            return np.zeros(len(keys), dtype=bool)
        at = np.searchsorted(self._base, keys)
        at[at == len(self._base)] = 0
        return np.asarray(self._base[at] == keys)

    def _merge(self) -> None:
        if self._late:
            late = np.frombuffer(b"".join(sorted(self._late)), dtype=KEY)
            self._base = np.unique(np.concatenate([self._base, late]))
            self._late.clear()


class State:
    """Keys of all replies, and dollars of each writer of this clone; :meth:`refresh` takes in what others wrote.

    Dollars of segments that came with the snapshot were spent elsewhere and are not counted here.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known = KeySet()
        self.money: dict[str, Money] = {}
        self.held: dict[str, dict[str, float]] = {}
        self.sealed: set[str] = set()
        self._read: dict[str, int] = {}
        self._segments: set[str] = set()
        self._own: set[str] = set()

    def refresh(self) -> None:
        """Read the new lines of live files and the new segments (in this order: a sealed file is then in one)."""
        for writer, path in self.store.writers().items():
            if writer not in self.sealed and writer not in self._own:
                lines, self._read[writer] = self.store.read_live(path, self._read.get(writer, 0))
                self.note(writer, map(decode, lines))
        for name, path in self.store.segments().items():
            if name not in self._segments:
                self._segments.add(name)
                self._take_segment(name, self.store.read_segment(path))

    def own(self, writer: str, records: Iterable[dict[str, Any]]) -> None:
        """Count what this process itself has just written as ``writer``, whose file need then not be read."""
        self._own.add(writer)
        self.note(writer, records)

    def moved(self, old: str, new: str) -> None:
        """Count the open reservations of this process's ``old`` file, now sealed, with its ``new`` one."""
        self._own.add(new)
        self.held[new] = self.held.pop(old, {})

    def note(self, writer: str, records: Iterable[dict[str, Any]]) -> None:
        """Count new ``records`` of the live file of ``writer``."""
        paid, lost = self.money.get(writer, Money(0.0, 0.0))
        held = self.held.setdefault(writer, {})
        for fields in records:
            kind = fields["kind"]
            if kind == "hold":
                held[fields["key"]] = fields["usd"]
            elif kind in ("reply", "lost", "free"):
                held.pop(fields["key"], None)
            if kind == "reply":
                paid += fields["usd"]
                self.known.add(bytes.fromhex(fields["key"]))
            elif kind == "lost":
                lost += fields["usd"]
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
    def reserved(self) -> float:
        """Dollars, at worst, for requests in flight, or in flight when their process died."""
        return sum(usd for held in self.held.values() for usd in held.values())
