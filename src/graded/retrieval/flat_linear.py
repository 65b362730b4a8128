"""Dense products on a CPU: oneDNN's packed weights where they work, F.linear where they do not.

PyTorch's float32 ``F.linear`` goes to MKL. On Intel's processors the two are equal (105 to 125 GFLOP/s a core at the
sizes of MiniLM); on AMD's, MKL reaches half of what oneDNN does (89 against 186). The operators that reach oneDNN
(``torch.ops.mkldnn``, the ones torch.compile emits) are private, so they are tried once, against ``F.linear``,
before anything relies on them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

Tensor = Any

#: transformers' names of activations to oneDNN's post-operation and its variant.
FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}


#: Compiled products that oneDNN keeps. By itself it keeps 1024, each with memory of its own, and texts come in ever new
#: lengths: an encoder grew by 1 GB in twenty minutes, and was no faster for it.
KEPT = 64


@cache
def onednn() -> bool:
    """Whether oneDNN's packed linear is here and agrees with ``F.linear``, fused activation and addition included."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT))  # read at its first product
    draw = torch.Generator().manual_seed(0)
    x, weight, bias, other = (torch.randn(shape, generator=draw) for shape in ((8, 16), (24, 16), (24,), (8, 24)))
    try:
        with torch.inference_mode():
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, 8)
            fused = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "gelu", [], "none")
            added = torch.ops.mkldnn._linear_pointwise.binary(x, other, packed, bias, "add")
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return False
    plain = functional.linear(x, weight, bias)
    near = {"atol": 1e-4, "rtol": 1e-4}
    return torch.allclose(fused, functional.gelu(plain), **near) and torch.allclose(added, plain + other, **near)


@cache
def half_is_native() -> bool:
    """Whether this CPU multiplies bfloat16 itself (AVX512-BF16, AMX, Arm); elsewhere float32 is 4 times faster."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    flags = set(next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split())
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


@cache
def mkl_is_slow() -> bool:
    """Whether float32 products should avoid MKL in training too: a processor that is not Intel's, and oneDNN works."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "vendor_id" in text and "GenuineIntel" not in text and onednn()


def dense(module: Any, x: Tensor) -> Tensor:
    """Return ``module(x)``, [tokens, in] to [tokens, out]; a plain float32 linear avoids a slow MKL, gradient included.

    Anything else than ``torch.nn.Linear`` (a LoRA layer, say) and anything under autocast is called as it is.
    """
    if type(module) is not torch.nn.Linear:
        return module(x)
    return product(x, module.weight, module.bias)


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x @ weight' + bias`` with a gradient; see :func:`dense`."""
    if not avoids_mkl(x):
        return functional.linear(x, weight, bias)
    return _Product.apply(x, weight, bias)


def avoids_mkl(x: Tensor) -> bool:
    """Whether products with ``x`` go through oneDNN rather than through ``F.linear``."""
    plain = x.device.type != "cpu" or x.dtype is not torch.float32 or torch.is_autocast_enabled("cpu")
    return not plain and mkl_is_slow()


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x @ weight' + bias`` by the faster library, for use inside a gradient's own function."""
    if avoids_mkl(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return functional.linear(x, weight, bias)


def gradients(gradient: Tensor, x: Tensor, weight: Tensor, needed: Sequence[bool]) -> tuple[Any, Any, Any]:
    """Return the gradients on input, weight and bias of ``x @ weight' + bias``, each only where it is needed."""
    for_x, for_weight, for_bias = needed
    return (
        multiply(gradient, weight.t()) if for_x else None,
        multiply(gradient.t(), x.t()) if for_weight else None,
        gradient.sum(0) if for_bias else None,
    )


class _Product(torch.autograd.Function):
    """``functional.linear`` by oneDNN: the product and both of its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return gradients(gradient, x, weight, ctx.needs_input_grad)


class Linear:
    """``x @ weight' + bias``, then an activation or an addition; for inference, weights packed once."""

    def __init__(self, weight: Tensor, bias: Tensor, tokens: int) -> None:
        """Pack ``weight`` [out, in] for rows of about ``tokens`` tokens."""
        self.weight, self.bias, self.packed = weight, bias, None
        if onednn():
            with torch.inference_mode():
                self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), tokens)
            self.weight = None

    def __call__(self, x: Tensor) -> Tensor:
        """[tokens, in] to [tokens, out]."""
        if self.packed is None:
            return functional.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")

    def act(self, x: Tensor, name: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        """The product, then activation ``name``, which ``function`` computes where oneDNN cannot fuse it."""
        if self.packed is None or name not in FUSED:
            return function(self(x))
        operation, variant = FUSED[name]
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, operation, [], variant)

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """The product plus ``other`` [tokens, out]."""
        if self.packed is None:
            return functional.linear(x, self.weight, self.bias).add_(other)
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.packed, self.bias, "add")
