"""A model folder that opens here, in transformers and in sentence-transformers, and gives the same vectors in each.

The files beside config.json, tokenizer and model.safetensors are sentence-transformers' own: modules.json (transformer,
pooling, normalisation), 1_Pooling/config.json, sentence_bert_config.json (length), config_sentence_transformers.json
(prefixes as the prompts ``query`` and ``passage``), in the form that every version since 2 reads.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from graded.formats.atomic import atomic_folder, write_json, write_text
from graded.retrieval import description
from graded.retrieval.description import Description
from graded.retrieval.flat import FlatModel

MODULES = "sentence_transformers.models"


def save_folder(
    model: FlatModel, tokenizer: Path, target: Path, record: Description, card: str,
    beside: Mapping[str, Mapping[str, float]] | None = None,
) -> Description:  # fmt: skip
    """Write ``model`` as the folder ``target``, whole or not at all, and return its record with digests.

    ``tokenizer`` is the folder whose tokenizer files are taken over (the base encoder's); ``record`` says pooling,
    prefixes and length; ``card`` becomes README.md. Weights are float32 safetensors.
    ``beside`` maps the name of a further JSON file to what it holds.
    """
    with atomic_folder(target) as folder:
        for path in description.files(tokenizer):
            if path.name != "config.json" and not path.name.startswith("model"):
                shutil.copyfile(path, folder / path.name)
        model.save(folder)
        _sentence_transformers(folder, record, model.dim)
        write_text(folder / "README.md", card)
        for name, values in (beside or {}).items():
            write_json(folder / name, dict(values))
        return description.write(folder, record)


def _sentence_transformers(folder: Path, record: Description, dim: int) -> None:
    modules = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *([("2_Normalize", "Normalize")] if record.normalize else []),
    ]
    write_json(
        folder / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": f"{MODULES}.{name}"}
            for index, (path, name) in enumerate(modules)
        ],
    )
    (folder / "1_Pooling").mkdir()
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": dim,
            "pooling_mode_cls_token": record.pooling == "cls",
            "pooling_mode_mean_tokens": record.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
            "pooling_mode_weightedmean_tokens": False,
            "pooling_mode_lasttoken": record.pooling == "last",
            "include_prompt": True,
        },
    )
    if record.normalize:
        (folder / "2_Normalize").mkdir()
        write_json(folder / "2_Normalize" / "config.json", {})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": record.max_length, "do_lower_case": False})
    prompts = {"query": record.query_prefix, "passage": record.passage_prefix, "document": record.passage_prefix}
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine" if record.normalize else "dot",
        },
    )
