"""Products for the first passes: dense ones by the library that is fastest here, and single pairs without gathering.

Which library computes a product changes the order of its sums and so its last bits, which the passes' error bounds
cover; it never changes a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

#: A way to multiply: given queries [Q, dim] and the rows a call has at most, a product of passages with them.
Way = Callable[[Any, int], Callable[[Any], Any]]

#: Calls that each library is timed for, in turn; the best counts.
TRIES = 12


class Plain:
    """PyTorch's own product of passages ``[n, dim]`` with queries, into one buffer ``[n, Q]``."""

    def __init__(self, queries: Any, rows: int) -> None:
        import torch

        self.right, self.out = queries.T, torch.empty(rows, len(queries))

    def __call__(self, passages: Any) -> Any:
        import torch

        return torch.mm(passages, self.right, out=self.out[: len(passages)])


class Mkl:
    """MKL's product with the queries packed once, for ``rows`` passages a call; private to PyTorch."""

    def __init__(self, queries: Any, rows: int) -> None:
        import torch

        self.queries, self.rows = queries, rows
        self.packed = torch.ops.mkl._mkl_reorder_linear_weight(queries, rows)

    def __call__(self, passages: Any) -> Any:
        import torch

        return torch.ops.mkl._mkl_linear(passages, self.packed, self.queries, None, self.rows)


class OneDnn:
    """oneDNN's product with the queries packed once; private to PyTorch. The fast one on AMD's processors."""

    def __init__(self, queries: Any, rows: int) -> None:
        import torch

        self.packed = torch.ops.mkldnn._reorder_linear_weight(queries, rows)

    def __call__(self, passages: Any) -> Any:
        import torch

        return torch.ops.mkldnn._linear_pointwise(passages, self.packed, None, "none", [], "")


def product(queries: Any, rows: int) -> Callable[[Any], Any]:
    """Return a function of passages, float32 ``[n, dim]`` with n up to ``rows``, that gives ``[n, Q]``.

    Its result is valid until the next call. It is this machine's fastest way to multiply with ``queries`` ``[Q, dim]``.
    """
    return fastest(*queries.shape, rows)(queries, rows)


@cache
def fastest(count: int, dim: int, rows: int) -> Way:
    """Return the fastest of the ways to multiply on this machine that are there and right."""
    import torch

    queries, passages = torch.rand(count, dim), torch.rand(rows, dim)
    expected = passages @ queries.T
    ways: tuple[Way, ...] = (Plain, Mkl, OneDnn)
    able: dict[Way, Callable[[Any], Any]] = {}
    for way in ways:
        with suppress(RuntimeError, AttributeError, NotImplementedError):  # not in this build of PyTorch
            multiply = way(queries, rows)
            if torch.allclose(multiply(passages), expected, rtol=1e-4):
                able[way] = multiply
    seconds = dict.fromkeys(able, float("inf"))
    for _ in range(TRIES):  # in turn: what else the machine does slows all of them
        for way, multiply in able.items():
            seconds[way] = min(seconds[way], _seconds(multiply, passages))
    return min(seconds, key=lambda way: seconds[way], default=Plain)


def _seconds(multiply: Callable[[Any], Any], passages: Any) -> float:
    start = time.thread_time()
    multiply(passages)
    return time.thread_time() - start


def pair_scores(queries: Floats, passages: Floats, row: Ints, query: Ints) -> Floats:
    """Return the float32 products of single pairs, by row of ``passages`` and, within it, in any order of ``query``.

    Compiled: gathering both sides first takes six times as long, PyTorch's product at the places of a sparse matrix
    one and a half times.
    """
    from graded.retrieval import search_kernels

    found = np.empty(len(row), np.float32)
    search_kernels.scores(queries, query, passages, row, found)
    return found
