"""A transformer layer's larger parts with gradients of their own, which keep less than autograd would.

Autograd keeps what every operation read: 17 rows of the hidden size a token and layer. What is cheap to compute again
(GELU, a normalisation, laying runs one after another) need not be kept: 11 are left, and the values are the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import gelu

from graded.retrieval.flat_linear import gradients, multiply

Tensor = Any


def lean(x: Tensor, *modules: Any) -> bool:
    """Whether these functions compute what the modules would: plain linears, outside autocast."""
    return all(type(module) is torch.nn.Linear for module in modules) and not torch.is_autocast_enabled(x.device.type)


def mix(runs: Sequence[Tensor], module: Any) -> Tensor:
    """Return the linear ``module`` of ``runs`` ([tokens of a run, hidden] each) laid one after another."""
    return _Mix.apply(module.weight, module.bias, *runs)


def feed(total: Tensor, norm: Any, widen: Any, narrow: Any) -> Tensor:
    """Return ``h + narrow(gelu(widen(h)))`` with h the normalised ``total`` [tokens, hidden]."""
    parameters = (norm.weight, norm.bias, widen.weight, widen.bias, narrow.weight, narrow.bias)
    return _Feed.apply(total, norm.eps, *parameters)


class _Mix(torch.autograd.Function):
    """Keeps the runs, which attention keeps too, instead of a copy of them all."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, *runs: Tensor) -> Tensor:
        ctx.save_for_backward(weight, *runs)
        return multiply(torch.cat(runs), weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        weight, *runs = ctx.saved_tensors
        needed = (any(ctx.needs_input_grad[2:]), *ctx.needs_input_grad[:2])
        for_x, for_weight, for_bias = gradients(gradient, torch.cat(runs), weight, needed)
        parts = for_x.split([len(run) for run in runs]) if for_x is not None else [None] * len(runs)
        return (for_weight, for_bias, *parts)


class _Feed(torch.autograd.Function):
    """Keeps ``total`` and the wide product; the normalised rows and their GELU are computed again."""

    @staticmethod
    def forward(
        ctx: Any, total: Tensor, epsilon: float, scale: Tensor, shift: Tensor,
        wide_weight: Tensor, wide_bias: Tensor, weight: Tensor, bias: Tensor,
    ) -> Tensor:  # fmt: skip
        hidden, mean, deviation = torch.native_layer_norm(total, total.shape[-1:], scale, shift, epsilon)
        wide = multiply(hidden, wide_weight, wide_bias)
        ctx.epsilon = epsilon
        ctx.save_for_backward(total, mean, deviation, scale, shift, wide_weight, weight, wide)
        return multiply(gelu(wide), weight, bias).add_(hidden)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        total, mean, deviation, scale, shift, wide_weight, weight, wide = ctx.saved_tensors
        shape, needed = total.shape[-1:], ctx.needs_input_grad
        inner, for_weight, for_bias = gradients(gradient, gelu(wide), weight, (True, *needed[6:]))
        inner = torch.ops.aten.gelu_backward(inner, wide)
        hidden = torch.native_layer_norm(total, shape, scale, shift, ctx.epsilon)[0]
        back, for_wide_weight, for_wide_bias = gradients(inner, hidden, wide_weight, (True, *needed[4:6]))
        for_total, for_scale, for_shift = torch.ops.aten.native_layer_norm_backward(
            back.add_(gradient), total, shape, mean, deviation, scale, shift, [needed[0], *needed[2:4]]
        )
        return for_total, None, for_scale, for_shift, for_wide_weight, for_wide_bias, for_weight, for_bias
