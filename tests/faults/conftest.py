"""One stand-in API for a module's worlds, and how many made-up cases a run tries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.made import FEW, MANY
from tests.standin import StandIn


@pytest.fixture(scope="module")
def api() -> Iterator[StandIn]:
    with StandIn() as found:
        yield found


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """How many cases."""
    return MANY if request.config.getoption("--slow") else FEW
