"""First passes on a CPU: all scores of a block of queries and a few passages, cheaply, with a proved error bound.

A pass returns the pairs whose exact score may reach the query's floor, and what their scores are to within an error.
For each pass and pair, ``|cheap - exact| <= error``:

* ``float32``: a sum of ``d`` products in any order is off by at most ``g |q| |p|`` with ``g = d u / (1 - d u)`` and
  ``u = 2^-24`` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1; Cauchy-Schwarz for
  the sum of absolute products).
* ``int8``: with ``q' = s round(q / s)`` and ``p'`` likewise, ``<q, p> - <q', p'> = <q - q', p> + <q', p - p'>``, at
  most ``|q - q'| |p| + |q'| |p - p'|``. These norms are computed, not estimated; the product of the whole numbers
  is exact in int32. One scale a query and one for each few passages keep the error near 0.02 for unit vectors, so that
  a few times as many pairs are left as by ``float32``, in a third of its time where the CPU has VNNI.
* ``bfloat16``: the same argument with the rounded vectors; the result is rounded too, by ``2^-8`` of it at most. A
  bound near 0.008, for scores that lie close together.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
#: Query, row, cheap score: one entry a pair.
Pairs = tuple[Ints, Ints, Floats]

#: Room for the rounding of the bounds themselves, relative and absolute (in the unit of the scores).
SLACK = 1 + 2.0**-10


class Pass(Protocol):
    """One way to multiply; not shared between threads."""

    #: Passages a call: what keeps the working set near the core.
    piece: int

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


class Float32Pass:
    """The plain product."""

    piece = 1024

    def __init__(self, queries: Floats, norms: npt.NDArray[np.float64]) -> None:
        import torch

        self.norms = norms
        self.packed = torch.from_numpy(queries).T
        self.scores = torch.empty(self.piece, len(queries))
        self.mask = np.empty((self.piece, len(queries)), bool)

    def pairs(self, vectors: Floats, floor: Floats, longest: float) -> Pairs:
        """See :class:`Pass`."""
        import torch

        rows = len(vectors)
        scores, mask = self.scores[:rows], self.mask[:rows]
        torch.mm(torch.from_numpy(vectors), self.packed, out=scores)
        np.greater_equal(scores.numpy(), floor - float32_error(self.norms, longest, vectors.shape[1]), out=mask)
        flat = np.flatnonzero(mask)
        row, query = np.divmod(flat, len(floor))
        return query, row, scores.numpy().reshape(-1)[flat]


class Int8Pass:
    """Whole numbers of eight bits, then a float32 product for what is left.

    For vectors of ``MIN_DIM`` components up: torch 2.13's ``_int_mm`` is wrong where there is one, and gains nothing
    where there are few.
    """

    MIN_DIM = 16

    piece = 256

    def __init__(self, queries: Floats, norms: npt.NDArray[np.float64]) -> None:
        import torch

        self.queries, self.norms = torch.from_numpy(queries), norms
        scale = np.maximum(np.abs(queries).max(axis=1), np.float32(1e-30)) / 127
        whole = np.rint(queries / scale[:, None]).clip(-127, 127)
        rounded = whole * scale[:, None].astype(np.float64)
        self.scale = scale.astype(np.float64)
        self.lost = np.linalg.norm(queries - rounded, axis=1)
        self.rounded_norms = np.linalg.norm(rounded, axis=1)
        self.packed = torch.from_numpy(whole.astype(np.int8)).T.contiguous()
        count, dim = queries.shape
        self.scores = torch.empty(self.piece, count, dtype=torch.int32)
        self.mask = np.empty((self.piece, count), bool)
        self.scratch = torch.empty(self.piece, dim)
        self.whole = torch.empty(self.piece, dim, dtype=torch.int8)

    def pairs(self, vectors: Floats, floor: Floats, longest: float) -> Pairs:
        """See :class:`Pass`."""
        import torch

        rows = len(vectors)
        passages, scratch, whole = torch.from_numpy(vectors), self.scratch[:rows], self.whole[:rows]
        low, high = torch.aminmax(passages)
        scale = max(-float(low), float(high), 1e-30) / 127
        torch.mul(passages, 1 / scale, out=scratch)
        scratch.round_()
        whole.copy_(scratch)
        torch.sub(passages, scratch, alpha=scale, out=scratch)
        lost = float(torch.linalg.vector_norm(scratch, dim=1).max())
        scores, mask = self.scores[:rows], self.mask[:rows]
        torch._int_mm(whole, self.packed, out=scores)
        error = (self.lost * longest + self.rounded_norms * lost) * SLACK
        error += float32_error(self.norms, longest, vectors.shape[1])
        # The scratch's own float32 rounding is at most a few units in the last place of the passage's elements.
        error += self.rounded_norms * longest * 2.0**-20
        least = np.floor((floor - error) / (self.scale * scale)).clip(-(2.0**31) + 1, 2.0**31 - 1).astype(np.int32)
        np.greater_equal(scores.numpy(), least, out=mask)
        row, query = np.divmod(np.flatnonzero(mask), len(floor))
        return query, row, float32_scores(self.queries, query, passages, row)


class BFloat16Pass:
    """Eight significant bits, then a float32 product for what is left."""

    piece = 1024

    def __init__(self, queries: Floats, norms: npt.NDArray[np.float64]) -> None:
        import torch

        self.queries, self.norms = torch.from_numpy(queries), norms
        rounded = self.queries.bfloat16()
        self.lost = torch.linalg.vector_norm(self.queries.double() - rounded.double(), dim=1).numpy()
        self.packed = rounded.T
        self.scores = torch.empty(self.piece, len(queries), dtype=torch.bfloat16)
        self.wide = torch.empty(self.piece, len(queries))
        self.mask = np.empty((self.piece, len(queries)), bool)

    def pairs(self, vectors: Floats, floor: Floats, longest: float) -> Pairs:
        """See :class:`Pass`."""
        import torch

        rows = len(vectors)
        passages, scores, wide, mask = (
            torch.from_numpy(vectors), self.scores[:rows], self.wide[:rows], self.mask[:rows],
        )  # fmt: skip
        rounded = passages.bfloat16()
        lost = float(torch.linalg.vector_norm(passages - rounded, dim=1).max())
        torch.mm(rounded, self.packed, out=scores)
        wide.copy_(scores)
        error = (self.lost * longest + (self.norms + self.lost) * (lost + longest * 2.0**-8)) * SLACK
        error += float32_error(self.norms, longest, vectors.shape[1]) * 2.0
        np.greater_equal(wide.numpy(), (floor - error).astype(np.float32), out=mask)
        row, query = np.divmod(np.flatnonzero(mask), len(floor))
        return query, row, float32_scores(self.queries, query, passages, row)


def float32_scores(queries: Any, query: Ints, passages: Any, row: Ints) -> Floats:
    """Return float32 sums for the pairs, whatever their order within ``float32_error``; tensors in, an array out."""
    import torch

    found = torch.empty(len(query))
    for at in range(0, len(query), 512):
        part = slice(at, at + 512)
        left = torch.index_select(queries, 0, torch.from_numpy(query[part]))
        right = torch.index_select(passages, 0, torch.from_numpy(row[part]))
        torch.sum(left.mul_(right), dim=1, out=found[part])
    return np.asarray(found.numpy())


def bfloat16_is_fast() -> bool:
    """Return whether this CPU multiplies bfloat16 by itself (AVX512-BF16 or AMX)."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def int8_is_exact() -> bool:
    """Return whether this CPU's int8 product is exact: VNNI, and extreme values come out right.

    Older instructions add pairs of products in 16 bits, which saturate.
    """
    import torch

    if not torch.cpu._is_vnni_supported():
        return False
    extreme = torch.tensor([127, -127, 127, 127], dtype=torch.int8).repeat(64, 16)
    return bool((torch._int_mm(extreme, extreme.T) == 64 * 127 * 127).all())
