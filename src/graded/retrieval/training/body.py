"""The encoder's weights as they are trained and as they are saved: dropout, adapters, lengths that fit.

The flat path reads dropout and checkpointing itself; any other architecture gets both through transformers' own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graded.errors import ParamError
from graded.retrieval.flat import FlatModel
from graded.retrieval.training.settings import Settings

#: What transformers' configurations call the dropout of embeddings, hidden states and attention.
DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout", "attention_dropout", "dropout",
    "activation_dropout", "embedding_dropout", "mlp_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout_rate",
)  # fmt: skip


def load(chosen: Settings, folder: Path, seed: int) -> FlatModel:
    """Return the encoder in ``folder`` ready to train: its dropout set, adapters put in where the params ask for them.

    Raises:
        MissingError, DataError: the folder is not whole.
        ParamError: its architecture has no dropout, or cannot recompute its layers, and the params ask for it.
    """
    made = FlatModel.load(folder, dropout=chosen.dropout, gradient_checkpointing=chosen.gradient_checkpointing)
    if not made.flat:
        if chosen.dropout is not None:
            made = FlatModel(_with_dropout(made.body, chosen.dropout), made.pooling).eval()
        if chosen.gradient_checkpointing:
            _recompute(made.body)
    if chosen.lora.rank:
        from peft import LoraConfig, inject_adapter_in_model

        torch.manual_seed(seed)
        for parameter in made.parameters():
            parameter.requires_grad_(requires_grad=False)
        adapters = LoraConfig(
            r=chosen.lora.rank,
            lora_alpha=chosen.lora.alpha,
            lora_dropout=chosen.lora.dropout,
            target_modules="all-linear",
        )
        inject_adapter_in_model(adapters, made.body)
    return made


def merged(chosen: Settings, trained: FlatModel, folder: Path) -> FlatModel:
    """Return the model as it is saved: adapters (if any) merged into the weights, the dropout that ``folder`` names."""
    from transformers import AutoConfig

    before = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    for name in DROPOUTS:
        if hasattr(before, name):
            setattr(trained.body.config, name, getattr(before, name))
        else:
            trained.body.config.__dict__.pop(name, None)
    if not chosen.lora.rank:
        return trained
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(trained.body.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            trained.body.set_submodule(name, module.get_base_layer())
    return trained


def drops(model: FlatModel) -> bool:
    """Whether training draws dropout masks."""
    if any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules()):
        return True
    return not model.flat and any(getattr(model.body.config, name, 0) or 0 for name in DROPOUTS)


def check_length(model: FlatModel, length: int) -> None:
    """Raise ParamError where a text of ``length`` tokens is longer than the model's position table."""
    limit = model.limit
    if limit is None:
        tables = [
            module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
            for name, module in model.body.named_modules()
            if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] == "position_embeddings"
        ]
        limit = min(tables, default=None)
    if limit is not None and length > limit:
        raise ParamError(
            f"train.max_length: received {length}; the encoder has positions for {limit} tokens; give 3 to {limit}, or "
            "null for the encoder's own"
        )


def _with_dropout(body: Any, dropout: float) -> Any:
    """Return ``body`` made again with ``dropout`` in its configuration, with the same weights."""
    from transformers import AutoModel

    config = body.config
    names = [name for name in DROPOUTS if name in config.__class__().to_dict()]
    if not names:
        if dropout:
            raise ParamError(f"train.dropout: received {dropout}; {config.model_type} has none; legal: 0, or null")
        return body
    for name in DROPOUTS:  # the flat path's names were set by its loader, whatever the architecture
        if name in names:
            setattr(config, name, dropout)
        else:
            config.__dict__.pop(name, None)
    made = AutoModel.from_config(config, dtype=torch.float32)
    made.load_state_dict(body.state_dict())
    return made


def _recompute(body: Any) -> None:
    """Let transformers recompute each layer of ``body`` in the backward pass."""
    try:
        # The same under its newer name, where this transformers has it.
        enable = getattr(body, "activation_checkpointing_enable", None) or body.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    except (ValueError, NotImplementedError, AttributeError):
        raise ParamError(
            f"train.gradient_checkpointing: received true; {body.config.model_type} cannot recompute its layers; set "
            "it to false, and train.chunk to bound memory"
        ) from None
