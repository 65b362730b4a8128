"""The layer's parts that keep less: the values and gradients of the plain modules, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from graded.retrieval import flat_linear
from graded.retrieval.flat_layer import feed, lean, mix

TOKENS, HIDDEN, WIDE = 7, 8, 20


def parts(dtype: torch.dtype) -> tuple[torch.Tensor, nn.LayerNorm, nn.Linear, nn.Linear]:
    """Rows, and the modules they go through."""
    torch.manual_seed(5)
    norm, widen, narrow = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, WIDE), nn.Linear(WIDE, HIDDEN)
    nn.init.normal_(norm.weight)
    rows = torch.randn(TOKENS, HIDDEN, dtype=dtype, requires_grad=True)
    return rows, norm.to(dtype), widen.to(dtype), narrow.to(dtype)


def grads(result: torch.Tensor, *leaves: Any) -> list[torch.Tensor]:
    weight = torch.randn(result.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return list(torch.autograd.grad((result * weight.to(result.dtype)).sum(), leaves))


def test_same_bits_as_the_plain_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_linear, "mkl_is_slow", lambda: False)
    rows, norm, widen, narrow = parts(torch.float32)
    leaves = [rows, *norm.parameters(), *widen.parameters(), *narrow.parameters()]
    hidden = norm(rows)
    plain, ours = narrow(gelu(widen(hidden))) + hidden, feed(rows, norm, widen, narrow)
    assert torch.equal(plain, ours)
    for want, have in zip(grads(plain, *leaves), grads(ours, *leaves), strict=True):
        assert torch.equal(want, have)
    runs = rows.split([2, 4, 1])
    whole, apart = widen(torch.cat(runs)), mix(runs, widen)
    assert torch.equal(whole, apart)
    for want, have in zip(
        grads(whole, rows, *widen.parameters()), grads(apart, rows, *widen.parameters()), strict=True
    ):
        assert torch.equal(want, have)


def test_gradients_in_double_precision() -> None:
    rows, norm, widen, narrow = parts(torch.float64)
    assert torch.autograd.gradcheck(lambda x: feed(x, norm, widen, narrow), (rows,))
    assert torch.autograd.gradcheck(lambda x: mix(x.split([3, 4]), widen), (rows,))


def test_frozen_weights_and_frozen_rows() -> None:
    rows, norm, widen, narrow = parts(torch.float32)
    widen.requires_grad_(requires_grad=False)
    rows = rows.detach()
    feed(rows, norm, widen, narrow).sum().backward()
    mix([rows], narrow_input := nn.Linear(HIDDEN, 3)).sum().backward()
    assert widen.weight.grad is None
    assert narrow.weight.grad is not None
    assert narrow_input.weight.grad is not None


def test_only_plain_linears_outside_autocast() -> None:
    rows, _, widen, narrow = parts(torch.float32)

    class Adapted(nn.Linear):
        pass

    assert lean(rows, widen, narrow)
    assert not lean(rows, widen, Adapted(2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        assert not lean(rows, widen)
