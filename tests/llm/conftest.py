"""Fixtures of the tests that buy from the stand-in server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graded.llm import batch_api
from tests.standin import StandIn


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "GRADED_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADED_BUDGET_USD", "1000")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr(batch_api, "SETTLE", 0.01)
    return tmp_path


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server
