"""Products for the first passes: dense ones by the library that is fastest here, and single pairs without gathering.

Which library computes a product changes the order of its sums and so its last bits, which the passes' error bounds
cover; it never changes a result.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

#: Calls that a library is timed for; the best counts.
TRIES = 3


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
def fastest(count: int, dim: int, rows: int) -> Callable[[Any, int], Callable[[Any], Any]]:
    """Return the fastest of the ways to multiply on this machine that are there and right."""
    import torch

    queries, passages = torch.rand(count, dim), torch.rand(rows, dim)
    expected = passages @ queries.T
    seconds: dict[type, float] = {}
    for way in (Plain, Mkl, OneDnn):
        try:
            multiply = way(queries, rows)
            if torch.allclose(multiply(passages), expected, rtol=1e-4):
                seconds[way] = min(_seconds(multiply, passages) for _ in range(TRIES))
        except (RuntimeError, AttributeError, NotImplementedError):
            continue  # not in this build of PyTorch
    return min(seconds, key=lambda way: seconds[way], default=Plain)


def _seconds(multiply: Callable[[Any], Any], passages: Any) -> float:
    start = time.thread_time()
    multiply(passages)
    return time.thread_time() - start


def pair_scores(queries: Any, passages: Any, row: Ints, query: Ints) -> Floats:
    """Return the float32 products of single pairs, by row of ``passages`` and, within it, in any order of ``query``.

    A product at the places of a sparse matrix: nothing is gathered, which took four times as long.
    """
    import torch

    starts = np.zeros(len(passages) + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=len(passages)), out=starts[1:])
    _accept_beta()
    places = torch.sparse_csr_tensor(
        torch.from_numpy(starts), torch.from_numpy(query), torch.zeros(len(query)),
        size=(len(passages), len(queries)), check_invariants=False,
    )  # fmt: skip
    found = torch.sparse.sampled_addmm(places, passages, queries.T, beta=0.0)
    return np.asarray(found.values().numpy())


@cache
def _accept_beta() -> None:
    """Keep PyTorch's one warning about sparse matrices from the user, who did not ask for any."""
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
