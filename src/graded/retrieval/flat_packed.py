"""The flat path for encoding on a CPU: fused query-key-value, packed weights, nothing kept for a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import embedding, layer_norm

from graded.retrieval.flat import FlatModel, position_offset
from graded.retrieval.flat_attention import Tensor, attend, layout, pool
from graded.retrieval.flat_linear import Linear
from graded.retrieval.tokens import Ints


class Norm(NamedTuple):
    """Layer normalisation's parameters."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    @classmethod
    def of(cls, module: Any) -> Norm:
        """Take them from torch's module."""
        return cls(module.weight, module.bias, module.eps)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        return layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.epsilon)


class Layer(NamedTuple):
    """One transformer layer, packed."""

    project: Linear
    mix: Linear
    mixed: Norm
    widen: Linear
    narrow: Linear
    narrowed: Norm


class PackedModel:
    """What :class:`FlatModel` computes in evaluation mode, on a CPU, with packed copies of its weights.

    Calls are independent of one another: several threads may make them at once.
    """

    def __init__(self, model: FlatModel, dtype: Any = torch.float32, tokens: int = 2048) -> None:
        """Pack ``model`` (BERT or RoBERTa family) in ``dtype`` for chunks of about ``tokens`` tokens."""
        table = model.body.embeddings
        config = model.body.config
        with torch.no_grad():
            positions = (
                table.position_embeddings.weight[position_offset(config) :] + table.token_type_embeddings.weight[0]
            )
            self.words, self.positions = table.word_embeddings.weight.detach(), positions
            self.embedded = Norm.of(table.LayerNorm)
            self.layers = [_pack(layer, dtype, tokens) for layer in model.body.encoder.layer]
        self.dtype, self.pooling = dtype, model.pooling
        self.heads = config.num_attention_heads
        self.activation = config.hidden_act
        self.function = model.body.encoder.layer[0].intermediate.intermediate_act_fn

    def __call__(self, input_ids: Tensor, lengths: Sequence[int] | Ints | Tensor) -> Tensor:
        """Return [n, dim] float32, not normalised; arguments as :meth:`FlatModel.forward`."""
        where = layout(lengths)
        if where.order is not None:
            input_ids = input_ids[where.order]
        hidden = embedding(input_ids, self.words) + self.positions[where.positions]
        hidden = self.embedded(hidden).to(self.dtype)
        for layer in self.layers:
            query, key, value = layer.project(hidden).chunk(3, dim=1)
            mixed = attend(query, key, value, self.heads, where)
            hidden = layer.mixed(layer.mix.add(mixed, hidden))
            wide = layer.widen.act(hidden, self.activation, self.function)
            hidden = layer.narrowed(layer.narrow.add(wide, hidden))
        return pool(hidden, where, self.pooling)


def _pack(layer: Any, dtype: Any, tokens: int) -> Layer:
    inner, outer = layer.attention.self, layer.attention.output

    def linear(*modules: Any) -> Linear:
        weight, bias = (torch.cat([getattr(module, name) for module in modules]) for name in ("weight", "bias"))
        return Linear(weight.to(dtype), bias.to(dtype), tokens)

    def norm(module: Any) -> Norm:
        return Norm(module.weight.to(dtype), module.bias.to(dtype), module.eps)

    return Layer(
        linear(inner.query, inner.key, inner.value), linear(outer.dense), norm(outer.LayerNorm),
        linear(layer.intermediate.dense), linear(layer.output.dense), norm(layer.output.LayerNorm),
    )  # fmt: skip
