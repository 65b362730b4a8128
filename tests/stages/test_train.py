"""Stage train, started as dvc.yaml starts it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graded.formats import table
from graded.retrieval import description
from tests import encoders, training


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer XLM-R with prefixes."""
    folder = tmp_path_factory.mktemp("tiny")
    return encoders.random_encoder(
        folder / "encoder", "xlm-roberta", query_prefix="query: ", passage_prefix="passage: ", temperature=0.05
    )


def prepared(folder: Path, encoder: Path, **train: Any) -> Path:
    folder.mkdir(exist_ok=True)
    training.write(folder, None, **({"batch_size": 8, "epochs": 1, "learning_rate": 1e-3, "threads": 1} | train))
    shutil.copytree(encoder, folder / "data" / "encoder")
    return folder


def test_two_runs_give_the_same_weights_and_sentence_transformers_the_same_vectors(tmp_path: Path, tiny: Path) -> None:
    folders = [prepared(tmp_path / name, tiny) for name in "ab"]
    for folder in folders:
        done = training.launch(folder)
        assert done.returncode == 0, done.stderr
        assert "56 of them positives" in done.stdout
    first, second = ((folder / "data" / "model" / "model.safetensors").read_bytes() for folder in folders)
    assert first == second
    assert first != (tiny / "model.safetensors").read_bytes()

    from sentence_transformers import SentenceTransformer

    from graded.retrieval.encoder import Encoder

    model = folders[0] / "data" / "model"
    texts = [training.passage("fi", number) for number in range(9)]
    theirs = SentenceTransformer(str(model), device="cpu")
    for kind in ("query", "passage"):
        np.testing.assert_allclose(
            Encoder.load(model).encode(texts, kind), theirs.encode(texts, prompt_name=kind), atol=1e-6
        )
    record = description.read(model)
    assert (record.source, record.temperature, record.query_prefix) == ("train", 0.05, "query: ")
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "tau = 2" in card
    assert "| fi | 52 | 28 |" in card


def test_no_positive_is_one_line(tmp_path: Path, tiny: Path) -> None:
    folder = prepared(tmp_path / "none", tiny)
    rows = [(*row[:4], False, *row[5:]) for row in training.pairs()]
    table.write_rows(folder / "data" / "pair.parquet", training.PAIRS, rows)
    done = training.launch(folder)
    assert done.returncode != 0
    assert done.stderr.strip() == (
        "graded: no pair reaches tau, so there is nothing to train on; lower tau: dvc exp run -S tau=1"
    )
