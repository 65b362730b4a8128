"""One stand-in API for a module's worlds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import StandIn


@pytest.fixture(scope="module")
def api() -> Iterator[StandIn]:
    with StandIn() as found:
        yield found
