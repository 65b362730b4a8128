"""Keys of requests, held at 16 bytes each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

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

    def extend(self, keys: Keys) -> None:
        """Add many."""
        self._base = np.unique(np.concatenate([self._base, keys]))

    def has(self, key: bytes) -> bool:
        """Is this key here?"""
        short = key[:WIDTH]
        if short in self._late or not self._base.size:
            return short in self._late
        return bool(self.mask(np.frombuffer(short, dtype=KEY), merge=False)[0])

    def mask(self, keys: Keys, *, merge: bool = True) -> NDArray[np.bool_]:
        """Return for each of ``keys`` whether it is here."""
        if merge:
            self._merge()
        if not self._base.size:
            return np.zeros(len(keys), dtype=bool)
        at = np.searchsorted(self._base, keys)
        at[at == len(self._base)] = 0
        return np.asarray(self._base[at] == keys)

    def _merge(self) -> None:
        if self._late:
            late = np.frombuffer(b"".join(sorted(self._late)), dtype=KEY)
            self._base = np.unique(np.concatenate([self._base, late]))
            self._late.clear()
