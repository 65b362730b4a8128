"""The first pass in whole numbers of eight bits, for CPUs with VNNI: a product, then a float32 one for what is left.

A passage becomes ``s (u - 128)`` with bytes ``u`` and one scale ``s`` for a few thousand passages, a query ``t w`` with
whole numbers ``w`` and a scale ``t`` of its own; how far each is from the vector is computed, and bounds the error
(``search_pass``). The products of whole numbers are exact. oneDNN writes a byte a pair, 1 where the score may reach the
query's floor and 0 elsewhere, which is a quarter of what there would be to look through otherwise.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from graded.retrieval.search_multiply import Floats, Ints
from graded.retrieval.search_pass import SLACK, Rescored, float32_error


class Int8Pass(Rescored):
    """Whole numbers of eight bits, then a float32 product for what is left.

    For vectors of ``MIN_DIM`` components up: it gains nothing where there are few.
    """

    MIN_DIM = 16
    #: Passages a product; with 512 it takes a quarter longer.
    PIECE = 2048

    def __init__(self, queries: Floats, norms: npt.NDArray[np.float64]) -> None:
        import torch

        from graded.retrieval import search_kernels

        self.queries, self.norms = queries, norms
        scale = (np.maximum(np.abs(queries).max(axis=1), np.float32(1e-30)) / 127).astype(np.float32)
        whole = np.rint(queries / scale[:, None]).clip(-127, 127)
        rounded = whole * scale[:, None].astype(np.float64)
        self.lost = np.linalg.norm(queries - rounded, axis=1)
        self.rounded_norms = np.linalg.norm(rounded, axis=1)
        self.multiply = Multiply(torch.from_numpy(whole.astype(np.int8)), torch.from_numpy(scale))
        self.unit = max(float(self.rounded_norms.max()), 1e-30)
        self.kernels, self.bytes = search_kernels, torch.empty(self.PIECE, queries.shape[1], dtype=torch.uint8)

    def _piece(self, vectors: Floats, floor: Floats, longest: float) -> Ints:
        scale = float(np.float32(max(self._largest(vectors), 1e-30) / 127))
        lost = self._round(vectors, scale)
        error = (self.lost * longest + self.rounded_norms * lost) * SLACK
        error += float32_error(self.norms, longest, vectors.shape[1])
        # In eighths of the largest score, a score at its floor becomes a little more than one half, which rounds to 1,
        # and none exceeds 1.5. float32's roundings of the scales, the sum and the step are below 2^-20 of it.
        largest = self.unit * max(longest, 1e-30)
        least = np.maximum(floor - error - largest * 2.0**-20, -4 * largest)
        add = (8 * largest * (0.5 + 2.0**-20) - least).astype(np.float32)
        found = self.multiply(self.bytes[: len(vectors)], scale, add, 8 * largest)
        return np.flatnonzero(found.numpy().view(bool))

    def _largest(self, vectors: Floats) -> float:
        return float(np.uint32(self.kernels.largest(vectors.view(np.uint32))).view(np.float32))

    def _round(self, vectors: Floats, scale: float) -> float:
        """Write the bytes of some passages and return how far they are from them at most, as a norm."""
        # 128.5 + p / s to within 2^-15, whatever way the machine multiplies and adds; cut off, not rounded.
        worst = float(self.kernels.to_bytes(vectors, np.float32(1 / scale), self.bytes.numpy()))
        return scale * (worst**0.5 * SLACK + vectors.shape[1] ** 0.5 * 2.0**-15)


class Multiply:
    """oneDNN's product of bytes with whole numbers [Q, dim] of scales [Q], packed once; private to PyTorch."""

    def __init__(self, whole: Any, scales: Any) -> None:
        import torch

        self.scales, self.zeros = scales, torch.zeros(len(whole), dtype=torch.int64)
        self.packed = torch.ops.onednn.qlinear_prepack(whole, [Int8Pass.PIECE, whole.shape[1]])

    def __call__(self, found: Any, scale: float, add: Floats, step: float) -> Any:
        """Return (scale * scales * (found - 128) @ whole' + add) / step, rounded and cut to 0..255: uint8 [n, Q]."""
        import torch

        return torch.ops.onednn.qlinear_pointwise(
            found, scale, 128, self.packed, self.scales, self.zeros, torch.from_numpy(add), step, 0,
            torch.uint8, "relu", [], "",
        )  # fmt: skip


@cache
def int8_is_exact() -> bool:
    """Return whether this CPU's product of bytes is exact: VNNI, and extreme values come out right.

    Older instructions add pairs of products in 16 bits, which saturate.
    """
    import torch

    if not torch.cpu._is_vnni_supported():
        return False
    rows = torch.tensor([255, 255, 1, 255], dtype=torch.uint8).repeat(64, 16)
    whole = torch.tensor([127, 127, -127, -127], dtype=torch.int8).repeat(8, 16)
    expected = int(((rows[0].int() - 128) * whole[0].int()).sum())
    least = np.full(8, -expected, np.float32)
    try:
        product = Multiply(whole, torch.ones(8))
        near = [product(rows, 1.0, least + np.float32(add), 1.0) for add in (0, 1)]
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return False
    return bool((near[0] == 0).all() and (near[1] == 1).all())
