"""The comparison of two systems: exact where it can be, honest where there is no difference."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graded.analysis.compare import difference, holm
from graded.errors import DataError


def test_few_queries_take_every_sign_assignment() -> None:
    ours, theirs = np.array([0.9, 0.4, 0.7, 0.2, 0.5]), np.array([0.1, 0.3, 0.9, 0.1, 0.1])
    gaps = ours - theirs
    sums = [abs(np.dot(signs, gaps)) for signs in product((1, -1), repeat=5)]
    exact = np.mean([total >= abs(gaps.sum()) - 1e-9 for total in sums])
    assert difference(ours, theirs, seed=1).p == pytest.approx(exact)


def test_a_clear_difference_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    base = rng.random(400)
    better = difference(base + 0.05 + rng.normal(0, 0.1, 400), base, seed=1)
    assert better.p < 0.001
    assert 0.03 < better.low < better.mean < better.high < 0.07
    same = [difference(base + rng.normal(0, 0.1, 400), base, seed=1, resamples=500).p for _ in range(20)]
    assert sum(p < 0.05 for p in same) <= 5


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(200):
        found = difference(rng.normal(0.1, 1, 80), np.zeros(80), seed=7, resamples=500)
        inside += found.low <= 0.1 <= found.high
    assert 180 <= inside <= 199


@given(arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([0.0, 0.1, 0.5, 1.0])), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_swapping_the_systems_swaps_the_signs(values: np.ndarray, seed: int) -> None:
    other = values[::-1].copy()
    one = difference(values, other, seed=seed, resamples=200)
    two = difference(other, values, seed=seed, resamples=200)
    assert one.mean == pytest.approx(-two.mean)
    assert one.p == pytest.approx(two.p)
    assert 0 < one.p <= 1
    assert one.low <= one.high
    assert difference(values, values, seed=seed) == (0, 0, 0, 1, values.size)


def test_an_independent_computation_says_the_same() -> None:
    """Signs and draws one by one with other random numbers, for a difference near the border."""
    rng = np.random.default_rng(11)
    ours, theirs = rng.random(150).round(2), rng.random(150).round(2)
    ours += 0.12
    found = difference(ours, theirs, seed=5)
    gaps = [float(one - other) for one, other in zip(ours, theirs, strict=True)]
    total = abs(sum(gaps))
    other = random.Random(99)
    rounds = 4000
    beyond = sum(abs(sum(gap if other.random() < 0.5 else -gap for gap in gaps)) >= total - 1e-9 for _ in range(rounds))
    expected = (beyond + 1) / (rounds + 1)
    assert 0.005 < expected < 0.2
    assert found.p == pytest.approx(expected, abs=5 * (expected / rounds) ** 0.5)
    means = sorted(sum(other.choices(gaps, k=150)) / 150 for _ in range(rounds))
    assert found.low == pytest.approx(means[round(0.025 * rounds)], abs=0.004)
    assert found.high == pytest.approx(means[round(0.975 * rounds)], abs=0.004)
    assert found.mean == pytest.approx(sum(gaps) / 150)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_procedure_rejects(p_values: list[float], alpha: float) -> None:
    """Step down: the smallest against alpha / n, the next against alpha / (n - 1), until one is not below."""
    left = sorted(range(len(p_values)), key=lambda place: p_values[place])
    rejected = set()
    while left and p_values[left[0]] * len(left) <= alpha:
        rejected.add(left.pop(0))
    adjusted = holm(dict(enumerate(p_values)))
    assert {place for place, p in adjusted.items() if p <= alpha} == rejected


def test_unequal_query_sets_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(3,\) and \(2,\)"):
        difference(np.zeros(3), np.zeros(2), seed=1)


def test_holm_by_the_book() -> None:
    # Holm 1979: 0.01 * 4, then 0.02 * 3, 0.03 * 2 (held up to 0.06), 0.2 * 1
    assert holm({"b": 0.02, "a": 0.01, "d": 0.2, "c": 0.03}) == pytest.approx(
        {"b": 0.06, "a": 0.04, "d": 0.2, "c": 0.06}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
