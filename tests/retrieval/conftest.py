"""Encoder folders, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import encoders


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Several test processes share the cores: more threads a process only get in each other's way."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's encoder."""
    return encoders.sample_encoder(tmp_path_factory.mktemp("bert") / "encoder")


@pytest.fixture(scope="session")
def xlmr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer XLM-R with prefixes, pooling its first token."""
    folder = tmp_path_factory.mktemp("xlmr")
    prefixes = {"query_prefix": "query: ", "passage_prefix": "passage: "}
    return encoders.random_encoder(folder, "xlm-roberta", pooling="cls", **prefixes)
