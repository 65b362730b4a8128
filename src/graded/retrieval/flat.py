"""The encoder as a module that trains: one forward path without padding, Hugging Face weights unchanged.

    model = FlatModel.load(folder)                  # config.json, model.safetensors, encoder.json where there is one
    pooled = model(input_ids, lengths)              # [n, dim] float32, not normalised
    model.save(folder)                              # config.json and model.safetensors under their own names

``input_ids`` is one flat row: the tokens of n texts one after another, special tokens included, nothing padded;
``lengths`` says how many tokens each has (a list, an array or a CPU tensor; any order). ``graded.retrieval.tokens``
makes both. Everything is differentiable.

BERT and the RoBERTa family (XLM-R, multilingual-e5, BGE-M3's body) go through the flat path; any other
architecture runs its own transformers forward over a padded batch behind the same signature, and says so once.

``model.body`` is the transformers model itself: its parameter names are the checkpoint's, its linears are called
as modules (so peft's LoRA can be injected into them), its dropout modules and their probabilities are the
configuration's. ``model.word_embeddings`` is the one big table (250,002 rows in XLM-R), for an optimiser that
treats it on its own: a step touches only the rows ``input_ids.unique()`` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from graded.console import say
from graded.errors import DataError, MissingError
from graded.retrieval import description
from graded.retrieval.flat_attention import Layout, Tensor, attend_runs, layout, pool
from graded.retrieval.flat_layer import feed, lean, mix
from graded.retrieval.flat_linear import dense, product
from graded.retrieval.tokens import Ints

#: Architectures of the flat path, with whether positions count from the padding index (RoBERTa's convention).
FLAT = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}

_said: set[str] = set()


class FlatModel(torch.nn.Module):
    """A transformer encoder with pooling, over texts laid one after another."""

    def __init__(
        self, body: Any, pooling: description.Pooling = "mean", *, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.body = body
        self.pooling = pooling
        #: Recompute each layer in the backward pass: memory of one layer instead of all.
        self.gradient_checkpointing = gradient_checkpointing
        self.flat = is_flat(body.config)
        if not self.flat and body.config.model_type not in _said:
            _said.add(body.config.model_type)
            say(f"encoder: no flat path for {body.config.model_type!r}; using transformers' forward, padded (slower)")
        pooler = getattr(body, "pooler", None)
        if pooler is not None:  # kept and saved unchanged; nothing here reads it
            pooler.requires_grad_(requires_grad=False)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        pooling: description.Pooling | None = None,
        dropout: float | None = None,
        gradient_checkpointing: bool = False,
    ) -> FlatModel:
        """Return the model in ``folder`` in float32, in evaluation mode.

        ``pooling`` comes from encoder.json unless given; ``dropout`` takes the place of the configuration's
        probabilities of hidden states and attention weights.

        Raises:
            MissingError: no folder, configuration, weights or (pooling not given) encoder.json.
            DataError: the weights do not open, or do not fill the architecture.
        """
        pooling = pooling or description.read(folder).pooling
        body = open_body(folder, dropout)
        return cls(body, pooling, gradient_checkpointing=gradient_checkpointing).eval()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.body.config.hidden_size)

    @property
    def word_embeddings(self) -> Any:
        """The token embedding table, [vocabulary, hidden]."""
        return self.body.get_input_embeddings()

    @property
    def limit(self) -> int | None:
        """Tokens of the longest text the position table allows; None where there is no table."""
        return position_limit(self.body.config)

    def forward(self, input_ids: Tensor, lengths: Sequence[int] | Ints | Tensor) -> Tensor:
        """Return [n, dim] float32 from the flat row ``input_ids`` ([tokens]) of n texts of ``lengths`` tokens."""
        where = layout(lengths, input_ids.device)
        if where.order is not None:
            input_ids = input_ids[where.order]
        hidden = self._flat(input_ids, where) if self.flat else self._padded(input_ids, where)
        return pool(hidden, where, self.pooling)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors (float32) as transformers names them; ``folder`` may exist."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.body.save_pretrained(str(folder))

    def _flat(self, input_ids: Tensor, where: Layout) -> Tensor:
        table = self.body.embeddings
        positions = where.positions + position_offset(self.body.config)
        hidden = table.word_embeddings(input_ids) + table.token_type_embeddings.weight[0]
        hidden = table.dropout(table.LayerNorm(hidden + table.position_embeddings(positions)))
        for layer in self.body.encoder.layer:
            if self.gradient_checkpointing and self.training:
                hidden = checkpoint(self._layer, layer, hidden, where, use_reentrant=False)
            else:
                hidden = self._layer(layer, hidden, where)
        return hidden

    def _layer(self, layer: Any, hidden: Tensor, where: Layout) -> Tensor:
        inner, outer = layer.attention.self, layer.attention.output
        query, key, value = project(hidden, inner.query, inner.key, inner.value)
        dropout = inner.dropout.p if inner.training else 0.0
        runs = attend_runs(query, key, value, inner.num_attention_heads, where, dropout)
        mixed = mix(runs, outer.dense) if lean(hidden, outer.dense) else dense(outer.dense, torch.cat(runs))
        total = outer.dropout(mixed) + hidden
        wide, narrow = layer.intermediate, layer.output
        drops = narrow.dropout.training and narrow.dropout.p > 0
        if self.body.config.hidden_act == "gelu" and not drops and lean(hidden, wide.dense, narrow.dense):
            return narrow.LayerNorm(feed(total, outer.LayerNorm, wide.dense, narrow.dense))
        hidden = outer.LayerNorm(total)
        inside = wide.intermediate_act_fn(dense(wide.dense, hidden))
        return narrow.LayerNorm(narrow.dropout(dense(narrow.dense, inside)) + hidden)

    def _padded(self, input_ids: Tensor, where: Layout) -> Tensor:
        """The architecture's own forward over [n, longest], right-padded; back to [tokens, hidden]."""
        longest = where.runs[-1][1]
        mask = torch.arange(longest, device=input_ids.device) < where.lengths[:, None]
        padded = torch.full(mask.shape, self.body.config.pad_token_id or 0, dtype=torch.long, device=input_ids.device)
        padded[mask] = input_ids.long()
        return self.body(input_ids=padded, attention_mask=mask.long()).last_hidden_state[mask]


def project(hidden: Tensor, *modules: Any) -> tuple[Tensor, ...]:
    """Return each module's output; plain linears are applied as one product."""
    if all(type(module) is torch.nn.Linear for module in modules):
        weight = torch.cat([module.weight for module in modules])
        bias = torch.cat([module.bias for module in modules])
        return tuple(product(hidden, weight, bias).chunk(len(modules), dim=1))
    return tuple(module(hidden) for module in modules)


def is_flat(config: Any) -> bool:
    """Whether the flat path computes this configuration."""
    absolute = getattr(config, "position_embedding_type", "absolute") in (None, "absolute")
    return config.model_type in FLAT and absolute and not getattr(config, "is_decoder", False)


def position_offset(config: Any) -> int:
    """Position id of a text's first token: 0 in BERT, padding index + 1 in the RoBERTa family."""
    return int(config.pad_token_id) + 1 if FLAT[config.model_type] else 0


def position_limit(config: Any) -> int | None:
    """Tokens of the longest text; None where the architecture has no position table."""
    rows = getattr(config, "max_position_embeddings", None)
    return int(rows) - position_offset(config) if rows and config.model_type in FLAT else None


def open_body(folder: Path, dropout: float | None = None) -> Any:
    """Return the transformers model in ``folder``; errors as in :meth:`FlatModel.load`."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    if not (folder / "config.json").is_file():
        raise MissingError(
            f"no {folder / 'config.json'}; 'dvc repro encoder' makes data/encoder, 'dvc pull' fetches it"
        )
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        if dropout is not None:
            for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
                setattr(config, name, dropout)
        extra = {} if config.model_type not in FLAT or has_pooler(folder) else {"add_pooling_layer": False}
        body, report = AutoModel.from_pretrained(
            str(folder), config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True,
            trust_remote_code=False, output_loading_info=True, **extra,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder}: the weights do not open ({reason})") from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise DataError(f"{folder}: the weights lack {len(missing)} tensors of the architecture, first {missing[0]!r}")
    return body


def has_pooler(folder: Path) -> bool:
    """Whether the checkpoint carries BERT's pooler (kept where it does, never invented)."""
    from safetensors import safe_open

    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            if any("pooler.dense" in name for name in weights.keys()):  # noqa: SIM118 - not a dict
                return True
    return False
