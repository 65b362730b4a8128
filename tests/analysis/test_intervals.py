"""Bootstrap intervals: against scipy's, and on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from graded.analysis import intervals
from graded.errors import DataError


def test_the_mean_agrees_with_scipy() -> None:
    from scipy import stats

    values = np.random.default_rng(1).beta(2, 2, 400)
    ours = intervals.mean(values, draws=4000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=2).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.003)
    assert ours.high == pytest.approx(theirs.high, abs=0.003)


def test_a_relative_change_is_paired() -> None:
    theirs = np.random.default_rng(1).uniform(0.1, 1.0, 300)
    same = intervals.relative(theirs * 1.1, theirs)
    assert [round(number, 6) for number in same] == [10.0, 10.0, 10.0]
    shuffled = np.random.default_rng(2).permutation(theirs)
    apart = intervals.relative(shuffled * 1.1, theirs)
    assert apart.low < 5 < 10 < 15 < apart.high


def test_intervals_cover_at_their_rate() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for seed in range(300):
        found = intervals.mean(random.uniform(0, 1, 60), seed=seed, draws=400)
        covered += found.low <= 0.5 <= found.high
    assert 0.90 <= covered / 300 <= 0.985


def test_blocks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).uniform(0, 1, 50)
    whole = intervals.mean(values)
    monkeypatch.setattr(intervals, "BLOCK", 500)
    assert intervals.mean(values) == whole


def test_nothing_to_relate_to() -> None:
    with pytest.raises(DataError, match="no query"):
        intervals.mean(np.array([]))
    with pytest.raises(DataError, match="is 0 for every query"):
        intervals.relative(np.ones(3), np.zeros(3))
