"""The workspace that the tests of stage retrieve share; other stages' tests make their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.retrieving import write_workspace


@pytest.fixture
def workspace(here: Path) -> Path:
    write_workspace(here)
    return here
