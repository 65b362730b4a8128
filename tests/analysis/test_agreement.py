"""Agreement against scikit-learn and against the definitions written out pair by pair."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped, unused-ignore]

from graded.analysis import agreement
from graded.analysis.statistics import bootstrap

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60)


def count(pairs: list[tuple[int, int]]) -> np.ndarray:
    counts = np.zeros((4, 4))
    for first, second in pairs:
        counts[first, second] += 1
    return counts


@given(PAIRS)
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    ours = float(agreement.quadratic_weighted_kappa(count(pairs)))
    if len({*first, *second}) == 1:
        assert np.isnan(ours)
    else:
        theirs = cohen_kappa_score(first, second, weights="quadratic", labels=range(4))
        assert ours == pytest.approx(theirs, abs=1e-9)


@given(PAIRS)
def test_ac2_is_its_definition(pairs: list[tuple[int, int]]) -> None:
    weight = {(i, j): 1 - (i - j) ** 2 / 9 for i, j in product(range(4), repeat=2)}
    observed = sum(weight[pair] for pair in pairs) / len(pairs)
    share = [sum((a == k) + (b == k) for a, b in pairs) / 2 / len(pairs) for k in range(4)]
    chance = sum(weight.values()) / (4 * 3) * sum(p * (1 - p) for p in share)
    assert float(agreement.gwet_ac2(count(pairs))) == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)


def test_ac2_stays_up_where_kappa_collapses() -> None:
    skewed = np.diag([96.0, 0, 0, 0])
    skewed[0, 1] = skewed[1, 0] = 2
    assert agreement.quadratic_weighted_kappa(skewed) < 0
    assert agreement.gwet_ac2(skewed) > 0.95


@given(PAIRS)
def test_shares_are_counted_from_the_pairs(pairs: list[tuple[int, int]]) -> None:
    counts = count(pairs)
    for steps in (0, 1):
        share = np.mean([abs(a - b) <= steps for a, b in pairs])
        assert agreement.within(counts, steps) == pytest.approx(share)
    assert agreement.lean(counts) == pytest.approx(np.mean([b - a for a, b in pairs]))


def test_figures_without_pairs_are_not_defined() -> None:
    none = np.zeros((4, 4))
    assert np.isnan(agreement.quadratic_weighted_kappa(none))
    assert np.isnan(agreement.gwet_ac2(none))
    assert np.isnan(agreement.within(none, 1))


def mean(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 1] / sums[..., 0])


def test_the_bootstrap_over_equal_rows_is_the_bootstrap_over_clusters() -> None:
    random = np.random.default_rng(0)
    clusters = np.stack([np.full(400, 1), random.integers(0, 4, 400)], axis=1)
    rows, times = np.unique(clusters, axis=0, return_counts=True)
    ours = bootstrap(rows, times, mean, seed=1, resamples=4000)
    drawn = clusters[random.integers(0, 400, (4000, 400))].sum(axis=1)
    low, high = np.quantile(mean(drawn), [0.025, 0.975])
    width = high - low
    assert ours.value == pytest.approx(clusters[:, 1].mean())
    assert ours.low == pytest.approx(low, abs=0.06 * width)
    assert ours.high == pytest.approx(high, abs=0.06 * width)
    assert ours == bootstrap(rows, times, mean, seed=1, resamples=4000)
    assert ours != bootstrap(rows, times, mean, seed=2, resamples=4000)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Pairs of a query share their luck: an interval that took them for independent would cover far less."""
    random = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        luck = random.normal(0, 1, 60)
        hits = (luck[:, None] + 0.2 * random.normal(0, 1, (60, 5)) > 0).sum(axis=1)
        rows, times = np.unique(np.stack([np.full(60, 5), hits], axis=1), axis=0, return_counts=True)
        found = bootstrap(rows, times, mean, seed=trial, resamples=300)
        covered += found.low <= 0.5 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_bootstrap_of_nothing_is_not_defined() -> None:
    assert np.isnan(bootstrap(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), mean, seed=0).value)
