"""Random order that is the same everywhere and for ever: by hash, so that samples of any size are nested."""

from __future__ import annotations


def draw_order(seed: int, *columns: str) -> str:
    """Return the SQL ORDER BY terms that shuffle rows by MD5 of (seed, columns), ties by the columns themselves.

    MD5 is part of no library's version: the draw of a seed does not change when DuckDB does. The first n rows of a
    larger draw are the draw of n.

    Args:
        seed: the run's seed.
        columns: SQL expressions that identify a row; text.
    """
    key = " || chr(31) || ".join([f"'{seed}'", *columns])
    return ", ".join([f"md5({key})", *columns])
