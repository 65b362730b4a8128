"""The search's innermost loops, where a library would walk through memory several times: compiled by numba.

Sums are made in the order that this processor does fastest; what is said of their errors holds for any order.
"""

from __future__ import annotations

from pathlib import Path

from graded.retrieval import compiled

compiled.keep(Path(__file__))

import numpy as np  # noqa: E402
from numba import njit, types  # noqa: E402

_FLOATS = types.Array(types.float32, 2, "C", readonly=True)
_INTS = types.Array(types.int64, 1, "C", readonly=True)
_BITS = types.Array(types.uint32, 2, "C", readonly=True)
_SINGLES = types.float32[::1]
_BYTES, _DOUBLES = types.uint8[:, ::1], types.float64[::1]
#: Sums in any order, products added without rounding in between; NaN and infinity stay what they are.
_ANY_ORDER = {"reassoc", "contract", "nsz"}


@njit(types.uint32(_BITS), cache=True, nogil=True)
def largest(bits):  # type: ignore[no-untyped-def]
    """Return the bits of the largest absolute value of float32 ``[n, dim]``, given by their bits.

    Of float32 numbers without their sign, the larger one has the larger bits; whole numbers are compared many at a
    time, where NaN keeps the compiler from doing so.
    """
    most = np.uint32(0)
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            most = max(most, bits[row, column] & np.uint32(0x7FFFFFFF))
    return most


@njit(types.float32(_FLOATS, types.float32, _BYTES), cache=True, nogil=True, fastmath=_ANY_ORDER)
def to_bytes(vectors, inverse, found):  # type: ignore[no-untyped-def]
    """Write ``vectors * inverse + 128``, within 0 to 255, as the nearest bytes.

    Returns:
        The largest sum over a row of the squares of what was rounded off.
    """
    worst = np.float32(0)
    for row in range(vectors.shape[0]):
        lost = np.float32(0)
        for column in range(vectors.shape[1]):
            value = vectors[row, column] * inverse + np.float32(128.5)
            whole = np.int32(value)
            found[row, column] = np.uint8(whole)
            off = value - np.float32(whole) - np.float32(0.5)
            lost += off * off
        worst = max(worst, lost)
    return worst


@njit(types.void(_FLOATS, _INTS, _FLOATS, _INTS, _DOUBLES, _DOUBLES), cache=True, nogil=True, fastmath=_ANY_ORDER)
def products(queries, query, vectors, row, sums, sizes):  # type: ignore[no-untyped-def]
    """Write the inner products of ``queries[query]`` and ``vectors[row]``, in float64, and those of absolute values."""
    for pair in range(len(row)):
        left, right = query[pair], row[pair]
        total, size = 0.0, 0.0
        for column in range(vectors.shape[1]):
            value = np.float64(queries[left, column]) * np.float64(vectors[right, column])
            total += value
            size += abs(value)
        sums[pair], sizes[pair] = total, size


@njit(types.void(_FLOATS, _INTS, _FLOATS, _INTS, _SINGLES), cache=True, nogil=True, fastmath=_ANY_ORDER)
def scores(queries, query, vectors, row, found):  # type: ignore[no-untyped-def]
    """Write the inner products of ``queries[query]`` and ``vectors[row]``, in float32; fastest sorted by row."""
    for pair in range(len(row)):
        left, right = query[pair], row[pair]
        total = np.float32(0)
        for column in range(vectors.shape[1]):
            total += queries[left, column] * vectors[right, column]
        found[pair] = total
