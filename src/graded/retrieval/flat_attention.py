"""Attention over texts that stand one after another in a flat [tokens, hidden] row, none padded.

On a CPU (and in float32 on a GPU) texts of equal length form a run that is one unmasked batched product; on a
GPU in half precision one variable-length kernel (torch.nn.attention.varlen, FlashAttention) takes the whole row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from graded.retrieval.tokens import Ints, spread

Tensor = Any


class Layout(NamedTuple):
    """How n texts lie in a flat row once they are sorted by length.

    Runs are (texts, length), in the order of the row; ``order`` and ``back`` are None where the texts came sorted.
    """

    runs: list[tuple[int, int]]
    #: [tokens] positions inside each text, from 0.
    positions: Tensor
    #: [tokens] where each token of the sorted row stands in the row as given.
    order: Tensor | None
    #: [n] where each text as given stands in the sorted row.
    back: Tensor | None
    #: [n] lengths, sorted.
    lengths: Tensor

    @property
    def sizes(self) -> list[int]:
        """Tokens of each run."""
        return [texts * length for texts, length in self.runs]


def layout(lengths: Sequence[int] | Ints, device: Any = "cpu") -> Layout:
    """Return the layout of texts with these token counts; their order is free, each has at least one token."""
    given = np.asarray(lengths, np.int64)
    order = np.argsort(given, kind="stable")
    ordered = given[order]
    unique, counts = np.unique(ordered, return_counts=True)
    runs = [(int(count), int(length)) for length, count in zip(unique, counts, strict=True)]
    positions = torch.from_numpy(spread(np.zeros_like(ordered), ordered)).to(device)
    lengths_there = torch.from_numpy(ordered).to(device)
    if np.array_equal(given, ordered):
        return Layout(runs, positions, None, None, lengths_there)
    tokens = spread((np.cumsum(given) - given)[order], ordered)
    back = np.argsort(order, kind="stable")
    return Layout(
        runs, positions, torch.from_numpy(tokens).to(device), torch.from_numpy(back).to(device), lengths_there
    )


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, where: Layout) -> Tensor:
    """Return softmax(q k' / sqrt(d)) v within each text: [tokens, hidden] from three [tokens, hidden]."""
    return torch.cat(attend_runs(query, key, value, heads, where))


def attend_runs(
    query: Tensor, key: Tensor, value: Tensor, heads: int, where: Layout, dropout: float = 0.0
) -> list[Tensor]:
    """Return :func:`attend` run by run, [tokens of the run, hidden] each; one run of all where one kernel does it.

    ``dropout`` is the probability of dropping an attention weight (training). The variable-length kernel has none,
    so with dropout the runs are used on every device.
    """
    tokens, hidden = query.shape
    query, key, value = (part.unflatten(1, (heads, -1)) for part in (query, key, value))
    if query.is_cuda and dropout == 0.0 and query.dtype in (torch.bfloat16, torch.float16):
        return [_varlen(query, key, value, where).reshape(tokens, hidden)]
    sizes = where.sizes
    rows = zip(query.split(sizes), key.split(sizes), value.split(sizes), where.runs, strict=True)
    return [_run(q, k, v, texts, dropout).reshape(-1, hidden) for q, k, v, (texts, _) in rows]


def _run(query: Tensor, key: Tensor, value: Tensor, texts: int, dropout: float) -> Tensor:
    """[texts * length, heads, d] each -> [texts, length, heads, d]."""
    shape = (texts, -1, query.shape[1], query.shape[2])
    q, k, v = (part.view(shape).transpose(1, 2) for part in (query, key, value))
    return scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2)


def _varlen(query: Tensor, key: Tensor, value: Tensor, where: Layout) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    longest = where.runs[-1][1]
    ends = torch.nn.functional.pad(where.lengths.cumsum(0), (1, 0)).to(torch.int32)
    return varlen_attn(query, key, value, ends, ends, longest, longest)


def pool(hidden: Tensor, where: Layout, pooling: str) -> Tensor:
    """Return one float32 vector a text, in the order the texts were given: [n, hidden] from [tokens, hidden].

    ``mean`` over the text's tokens, ``cls`` its first, ``last`` its last.
    """
    if pooling == "mean" and hidden.is_cuda:
        pooled = torch.segment_reduce(hidden.float(), "mean", lengths=where.lengths, axis=0)
    elif pooling == "mean":
        rows = zip(hidden.split(where.sizes), where.runs, strict=True)
        pooled = torch.cat([row.view(texts, length, -1).float().mean(1) for row, (texts, length) in rows])
    else:
        ends = where.lengths.cumsum(0)
        pooled = hidden[ends - 1 if pooling == "last" else ends - where.lengths].float()
    return pooled if where.back is None else pooled[where.back]
