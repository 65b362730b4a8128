"""First passes: all scores of a block of queries and a chunk of passages, cheaply, with a proved error bound.

For each pass and pair, ``|cheap - exact| <= error``:

* ``float32``: a sum of ``d`` products in any order is off by at most ``g |q| |p|`` with ``g = d u / (1 - d u)`` and
  ``u = 2^-24`` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1; Cauchy-Schwarz for
  the sum of absolute products).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graded.errors import ParamError, one_of

Floats = npt.NDArray[np.float32]
Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]

FIRST_PASSES = ("float32",)


def make_product(queries: Floats, k: int, first_pass: str, device: str) -> Product:
    """Return the first pass of that name for a block of queries, float32 ``[Q, dim]``.

    Raises:
        ParamError: there is no such first pass.
    """
    if first_pass == "auto":
        first_pass = "float32"
    if first_pass not in FIRST_PASSES:
        raise ParamError(f"first_pass: {one_of(first_pass, ('auto', *FIRST_PASSES))}")
    return Product(queries, k, device)


class Product:
    """The float32 pass, by torch on any device."""

    def __init__(self, queries: Floats, k: int, device: str) -> None:
        import torch

        self.k, self.device = k, device
        self.queries = torch.from_numpy(queries).to(device)
        self.norms = torch.linalg.vector_norm(self.queries.double(), dim=1)
        self.lower = torch.full((len(queries), k), -torch.inf, device=device)

    def begin(self, known: Floats) -> None:
        """Start from the best scores known so far, float32 ``[Q, k]``, descending, -inf where there is none."""
        import torch

        self.lower = torch.from_numpy(known.copy()).to(self.device)

    def floor(self) -> Floats:
        """Return a score that each query's k-th best passage reaches, float32 ``[Q]``."""
        return self.lower[:, -1].cpu().numpy()

    def candidates(self, vectors: Floats) -> Pairs:
        """Return the pairs that may be among the k best: query, row, and the most that its exact score can be."""
        import torch

        with torch.inference_mode():
            passages = torch.from_numpy(vectors).to(self.device)
            scores = self._scores(passages)
            error = self._error(passages)
            floor = self.lower[:, -1] - error
            query, row = (scores >= floor[:, None]).nonzero(as_tuple=True)
            found = scores[query, row]
            self._raise(query, found - error[query])
            upper = found + error[query]
        return query.cpu().numpy(), row.cpu().numpy(), upper.cpu().numpy()

    def _scores(self, passages: Any) -> Any:
        return (passages @ self.queries.T).T

    def _error(self, passages: Any) -> Any:
        """Bound per query, rounded up: twice ``g |q| max |p|``, which also covers the sums made with it here."""
        import torch

        unit = (passages.shape[1] + 8) * 2.0**-24
        longest = torch.linalg.vector_norm(passages, dim=1).max().double() * (1 + 1e-4)
        return (2 * unit / (1 - unit) * self.norms * longest).float()

    def _raise(self, query: Any, lower: Any) -> None:
        """Put new lower bounds among each query's k best."""
        import torch

        counts = torch.bincount(query, minlength=len(self.lower))
        width = int(counts.max()) if len(query) else 0
        if not width:
            return
        starts = torch.cumsum(counts, 0) - counts
        place = torch.arange(len(query), device=query.device) - starts[query]
        new = torch.full((len(self.lower), width), -torch.inf, device=query.device)
        new[query, place] = lower
        self.lower = torch.topk(torch.cat([self.lower, new], dim=1), self.k, dim=1).values
