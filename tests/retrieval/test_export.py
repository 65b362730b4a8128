"""The model folder opens in sentence-transformers, in transformers and here, with the same vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graded.retrieval import description
from graded.retrieval.description import Kind, Pooling
from graded.retrieval.encoder import Encoder
from graded.retrieval.export import save_folder
from graded.retrieval.flat import FlatModel
from tests import encoders


def exported(base: Path, target: Path) -> Path:
    """Save the encoder in ``base`` with its first bias moved, as training would."""
    model = FlatModel.load(base)
    with torch.no_grad():
        model.body.embeddings.LayerNorm.bias += 0.05
    save_folder(model, base, target, description.read(base).model_copy(update={"source": "train"}), "# A model\n")
    return target


@pytest.mark.xdist_group("sentence-transformers")  # its import is the slow part: once
@pytest.mark.parametrize(("name", "pooling"), [("bert", "mean"), ("xlm-roberta", "cls"), ("xlm-roberta", "last")])
def test_sentence_transformers_gives_the_same_vectors(tmp_path: Path, name: str, pooling: Pooling) -> None:
    from sentence_transformers import SentenceTransformer

    prefixes = {"query_prefix": "query: ", "passage_prefix": "passage: "}
    make = (
        encoders.random_encoder
        if name != "bert"
        else lambda folder, _, **fields: encoders.sample_encoder(folder, **fields)
    )
    folder = exported(make(tmp_path / "base", name, pooling=pooling, **prefixes), tmp_path / "model")
    mine, other = Encoder.load(folder), SentenceTransformer(str(folder), device="cpu")
    assert other.max_seq_length == description.read(folder).max_length
    kinds: tuple[Kind, ...] = ("query", "passage")
    for kind in kinds:
        want = other.encode(encoders.TEXTS, prompt_name=kind)
        np.testing.assert_allclose(mine.encode(encoders.TEXTS, kind), want, atol=3e-6)
    assert (folder / "README.md").read_text() == "# A model\n"


def test_transformers_opens_the_folder_and_the_old_one_is_replaced_whole(xlmr: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "left-over").touch()
    exported(xlmr, target)
    assert not (target / "left-over").exists()
    have = Encoder.load(target).encode(encoders.TEXTS, "query")
    want = torch.nn.functional.normalize(encoders.reference(target, encoders.TEXTS, "query: "), dim=1).numpy()
    np.testing.assert_allclose(have, want, atol=3e-6)
    assert not np.allclose(have, Encoder.load(xlmr).encode(encoders.TEXTS, "query"), atol=1e-3)


def test_the_readme_s_example_runs(bert: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(bert, tmp_path / "data" / "model")
    monkeypatch.chdir(tmp_path)
    code = (root / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, np.ndarray] = {}
    exec(code, names)
    assert (names["queries"] @ names["passages"].T).shape == (1, 2)
