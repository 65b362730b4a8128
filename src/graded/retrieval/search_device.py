"""First passes on a GPU (any torch device): the product, its candidates and each query's floor stay there.

Bounds as in ``search_pass``; float32 products without TF32, or bfloat16 ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graded.retrieval.search_multiply import Floats
from graded.retrieval.search_pass import SLACK, Pairs, float32_error


class DeviceProduct:
    """See :class:`graded.retrieval.search_product.Product`, whose methods these are."""

    def __init__(self, queries: Floats, k: int, device: str, *, rounded: bool) -> None:
        import torch

        self.k, self.device, self.rounded = k, device, rounded
        self.norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        self.queries = torch.from_numpy(queries).to(device)
        self.packed = self.queries.bfloat16() if rounded else self.queries
        lost = self.queries.double() - self.packed.double()
        self.lost = torch.linalg.vector_norm(lost, dim=1).cpu().numpy()
        self.begin(np.full((len(queries), k), -np.inf, np.float32))

    def begin(self, known: Floats) -> None:
        """Start from the best scores known so far, float32 ``[Q, k]``, descending, -inf where there is none."""
        import torch

        self.lower = torch.from_numpy(known.copy()).to(self.device)

    def floor(self) -> Floats:
        """Return a score that each query's k-th best passage reaches, float32 ``[Q]``."""
        return np.asarray(self.lower[:, -1].cpu().numpy())

    def candidates(self, vectors: Floats, longest: float) -> Pairs:
        """Return the pairs that may be among the k best: query, row, and the most that its exact score can be."""
        import torch

        precise = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with torch.inference_mode():
                passages = torch.from_numpy(vectors).to(self.device)
                cheap = passages.bfloat16() if self.rounded else passages
                scores = self.packed @ cheap.T
                bound = torch.from_numpy(self._error(passages, cheap, longest)).to(self.device)
                floor = self.lower[:, -1] - bound
                query, row = (scores >= floor[:, None]).nonzero(as_tuple=True)
                found, bound = scores[query, row].float(), bound[query]
                self._raise(query, found - bound)
                return query.cpu().numpy(), row.cpu().numpy(), (found + bound).cpu().numpy()
        finally:
            torch.backends.cuda.matmul.allow_tf32 = precise

    def _error(self, passages: Any, cheap: Any, longest: float) -> Floats:
        import torch

        error = 2.0 * float32_error(self.norms, longest, passages.shape[1])
        if self.rounded:
            lost = float(torch.linalg.vector_norm(passages - cheap, dim=1).max())
            error += (self.lost * longest + (self.norms + self.lost) * (lost + longest * 2.0**-8)) * SLACK
        return np.asarray(error, np.float32)

    def _raise(self, query: Any, lower: Any) -> None:
        """Put new lower bounds among each query's k best."""
        import torch

        counts = torch.bincount(query, minlength=len(self.lower))
        if not len(query):
            return
        place = torch.arange(len(query), device=query.device) - (torch.cumsum(counts, 0) - counts)[query]
        new = torch.full((len(self.lower), int(counts.max())), -torch.inf, device=query.device)
        new[query, place] = lower
        self.lower = torch.topk(torch.cat([self.lower, new], dim=1), self.k, dim=1).values
