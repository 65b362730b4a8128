"""The host that downloads come from."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from graded.sources import fetch as module
from tests.sources.host import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()
