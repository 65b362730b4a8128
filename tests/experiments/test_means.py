"""Intervals of means over directions: queries that are shared are drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from graded.experiments import means, results
from graded.experiments.results import Column, Key


def columns(shared: bool) -> dict[Key, Column]:
    """Four directions of 50 queries; the gain of a query is the same in all where they share them."""
    found: dict[Key, Column] = {}
    for at, doc in enumerate(("a", "b", "c", "d")):
        generator = np.random.default_rng(1 if shared else at)
        queries = tuple(f"q{number}" if shared else f"{doc}{number}" for number in range(50))
        found["set", "fi", doc, "base", "m"] = Column(queries, np.full(50, 0.5))
        found["set", "fi", doc, "tuned", "m"] = Column(queries, 0.5 + generator.normal(0.1, 0.2, 50))
    return found


@pytest.mark.parametrize(("shared", "spread"), [(True, 1.0), (False, 0.5)])
def test_shared_queries_do_not_narrow_the_interval(
    monkeypatch: pytest.MonkeyPatch, shared: bool, spread: float
) -> None:
    have = columns(shared)
    monkeypatch.setattr(results, "scores", lambda commit: have)
    found = means.change("abc", [key for key in have if key[3] == "tuned"])
    assert found is not None
    assert found[1] - found[0] == pytest.approx(spread * 2 * 1.96 * 0.2 / 50**0.5, rel=0.3)
    del have["set", "fi", "d", "base", "m"]
    assert means.change("abc", [key for key in have if key[3] == "tuned"]) is None
