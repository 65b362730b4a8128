"""A folder as the stage sees it: made-up pairs and a random two-layer XLM-R with prefixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import encoders, training


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/pair.parquet, data/sample, data/encoder, params.yaml, accelerate.yaml."""
    folder = tmp_path_factory.mktemp("layout")
    training.write(folder)
    encoders.random_encoder(
        folder / "data" / "encoder", "xlm-roberta", query_prefix="query: ", passage_prefix="passage: ", temperature=0.1
    )
    return folder
