"""Fixtures of the tests that buy from the stand-in server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graded.llm import batch_api
from tests.standin import StandIn


@pytest.fixture
def folder(purse: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(batch_api, "SETTLE", 0.01)
    return purse


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server
