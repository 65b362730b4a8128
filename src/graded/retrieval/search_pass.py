"""First passes on a CPU: all scores of a block of queries and a few passages, cheaply, with a proved error bound.

A pass returns the pairs whose exact score may reach the query's floor, and what their scores are to within an error.
For each pass and pair, ``|cheap - exact| <= error``:

* ``float32``: a sum of ``d`` products in any order is off by at most ``g |q| |p|`` with ``g = d u / (1 - d u)`` and
  ``u = 2^-24`` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1; Cauchy-Schwarz for
  the sum of absolute products).
* ``bfloat16``: with ``q'`` and ``p'`` the rounded vectors, ``<q, p> - <q', p'> = <q - q', p> + <q', p - p'>``, at most
  ``|q - q'| |p| + |q'| |p - p'|``. These norms are computed, not estimated; the result is rounded too, by ``2^-8`` of
  it at most. A bound near 0.008, for scores that lie close together.
* ``int8`` (search_int8): the same argument. A bound near 0.02 for unit vectors, so that a few times as many pairs are
  left as by ``float32``, in a third of its time where the CPU has VNNI.

The relative errors hold for products that are normal float32 numbers, or exact zeros: above 2^-126, so for vectors
with norms above about 1e-18. Those of an encoder have norm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from graded.retrieval.search_multiply import Floats, Ints, pair_scores, product

#: Query, row, cheap score: one entry a pair.
Pairs = tuple[Ints, Ints, Floats]

#: Room for the rounding of the bounds themselves, relative and absolute (in the unit of the scores).
SLACK = 1 + 2.0**-10


class Pass(Protocol):
    """One way to multiply; not shared between threads."""

    def pairs(self, vectors: Floats, floor: Floats, longest: float) -> Pairs:
        """Return the pairs of ``vectors`` that may reach ``floor`` [Q], scores within ``float32_error``.

        ``longest`` is at least the norm of each passage; the vectors are finite.
        """


def float32_error(norms: npt.NDArray[np.float64], longest: float, dim: int) -> Floats:
    """Return the bound of a float32 product [Q] for queries of ``norms`` and passages no longer than ``longest``.

    Twice ``g``, and a few roundings more, so that sums and differences made with it in float32 are covered too.
    """
    unit = (dim + 8) * 2.0**-24
    return np.asarray(2 * unit / (1 - unit) * norms * (longest * SLACK), np.float32)


def pieces(count: int, size: int) -> Iterator[slice]:
    """Yield slices of ``size`` and a rest: few enough passages that their scores stay near the core."""
    for at in range(0, count, size):
        yield slice(at, min(at + size, count))


class Float32Pass:
    """The plain product."""

    PIECE = 128

    def __init__(self, queries: Floats, norms: npt.NDArray[np.float64]) -> None:
        import torch

        self.norms = norms
        self.multiply = product(torch.from_numpy(queries), self.PIECE)
        self.mask = np.empty((self.PIECE, len(queries)), bool)

    def pairs(self, vectors: Floats, floor: Floats, longest: float) -> Pairs:
        """See :class:`Pass`."""
        import torch

        least = floor - float32_error(self.norms, longest, vectors.shape[1])
        flats, found = [], []
        for part in pieces(len(vectors), self.PIECE):
            scores = self.multiply(torch.from_numpy(vectors[part])).numpy()
            flat = np.flatnonzero(np.greater_equal(scores, least, out=self.mask[: len(scores)]))
            flats.append(flat + part.start * len(floor))
            found.append(scores.reshape(-1)[flat])
        row, query = np.divmod(np.concatenate(flats), len(floor))
        return query, row, np.concatenate(found)


class Rescored:
    """A pass that looks at ``PIECE`` passages at a time, in fewer bits; what it leaves gets a float32 product."""

    PIECE: int
    queries: Floats

    def pairs(self, vectors: Floats, floor: Floats, longest: float) -> Pairs:
        """See :class:`Pass`."""
        flats = [
            self._piece(vectors[part], floor, longest) + part.start * len(self.queries)
            for part in pieces(len(vectors), self.PIECE)
        ]
        row, query = np.divmod(np.concatenate(flats), len(self.queries))
        return query, row, pair_scores(self.queries, vectors, row, query)

    def _piece(self, vectors: Floats, floor: Floats, longest: float) -> Ints:
        """Return the flat places in ``[n, Q]`` of what may reach ``floor``."""
        raise NotImplementedError


class BFloat16Pass(Rescored):
    """Eight significant bits, then a float32 product for what is left."""

    PIECE = 1024

    def __init__(self, queries: Floats, norms: npt.NDArray[np.float64]) -> None:
        import torch

        self.queries, self.norms = queries, norms
        exact = torch.from_numpy(queries)
        rounded = exact.bfloat16()
        self.lost = torch.linalg.vector_norm(exact.double() - rounded.double(), dim=1).numpy()
        self.packed = rounded.T
        self.scores = torch.empty(self.PIECE, len(queries), dtype=torch.bfloat16)
        self.wide = torch.empty(self.PIECE, len(queries))
        self.mask = np.empty((self.PIECE, len(queries)), bool)

    def _piece(self, vectors: Floats, floor: Floats, longest: float) -> Ints:
        import torch

        passages = torch.from_numpy(vectors)
        rows = len(passages)
        scores, wide = self.scores[:rows], self.wide[:rows]
        rounded = passages.bfloat16()
        lost = float(torch.linalg.vector_norm(passages - rounded, dim=1).max())
        torch.mm(rounded, self.packed, out=scores)
        wide.copy_(scores)
        error = (self.lost * longest + (self.norms + self.lost) * (lost + longest * 2.0**-8)) * SLACK
        error += float32_error(self.norms, longest, passages.shape[1]) * 2.0
        return np.flatnonzero(np.greater_equal(wide.numpy(), (floor - error).astype(np.float32), out=self.mask[:rows]))


def bfloat16_is_fast() -> bool:
    """Return whether this CPU multiplies bfloat16 by itself (AVX512-BF16 or AMX)."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
