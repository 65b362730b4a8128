"""Plans: an epoch shows every row once, whatever the mode; processes get equal work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graded.errors import ParamError
from graded.retrieval.training.batching import Plan, spread

LANGS = np.array([0] * 37 + [1] * 11 + [2] * 5)


def plan(mode: str, *, alpha: float = 0.5, steps: int | None = None, seed: int = 3) -> Plan:
    return Plan(LANGS, 8, mode, alpha, seed, 2, steps)


@pytest.mark.parametrize("mode", ["mixed", "homogeneous"])
def test_an_epoch_shows_every_row_once(mode: str) -> None:
    made = plan(mode)
    batches = [made.batch(step) for step in range(made.total)]
    assert made.total == 2 * made.per_epoch
    for epoch in range(2):
        rows = np.concatenate([rows for number, rows in batches if number == epoch])
        assert sorted(rows) == list(range(len(LANGS)))
    assert [made.shown(step) for step in range(made.total + 1)] == [
        0, *np.cumsum([len(rows) for _, rows in batches])
    ]  # fmt: skip
    assert max(len(rows) for _, rows in batches) == 8
    first, second = batches[0][1], batches[made.per_epoch][1]
    assert list(first) != list(second)


def test_a_homogeneous_batch_has_one_language_and_languages_alternate() -> None:
    made = plan("homogeneous")
    of_batch = [set(LANGS[made.batch(step)[1]]) for step in range(made.per_epoch)]
    assert all(len(langs) == 1 for langs in of_batch)
    assert of_batch != sorted(of_batch, key=min)


@pytest.mark.parametrize(("alpha", "shares"), [(1.0, [37, 11, 5]), (0.0, [18, 18, 17]), (0.5, [28, 15, 10])])
def test_temperature_flattens_the_languages(alpha: float, shares: list[int]) -> None:
    made = plan("temperature", alpha=alpha)
    rows = np.concatenate([made.batch(step)[1] for step in range(made.per_epoch)])
    assert len(rows) == len(LANGS)
    counts = np.bincount(LANGS[rows])
    assert np.abs(counts - shares).max() <= 1
    for lang in range(3):  # no row recurs before all of its language were shown
        shown = np.bincount(rows[LANGS[rows] == lang], minlength=len(LANGS))[lang == LANGS]
        assert shown.max() - shown.min() <= 1


def test_a_budget_of_steps_goes_round_the_epochs_and_depends_on_the_seed_alone() -> None:
    made, again, other = plan("mixed", steps=17), plan("mixed", steps=17), plan("mixed", steps=17, seed=4)
    assert made.total == 17
    assert made.batch(16)[0] == 2
    for step in (16, 3, 9):
        assert list(made.batch(step)[1]) == list(again.batch(step)[1])
    assert list(made.batch(0)[1]) != list(other.batch(0)[1])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 5))
def test_processes_share_the_weight(weights: list[int], parts: int) -> None:
    shares = spread(np.array(weights), parts)
    assert sorted(np.concatenate(shares)) == list(range(len(weights)))
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    loads = [sum(weights[index] for index in share) for share in shares]
    assert max(loads) - min(loads) <= 2 * max(weights)


def test_an_unknown_mode_is_one_line() -> None:
    with pytest.raises(ParamError, match=r"train.batching.mode: received 'mixd' \(did you mean 'mixed'\?\)"):
        plan("mixd")


@pytest.mark.parametrize("mode", ["mixed", "homogeneous", "temperature"])
def test_pairs_are_counted_apart_from_rows(mode: str) -> None:
    """A row shows 1 to 3 pairs; what is announced for any number of steps is what the batches bring."""
    lang, pairs = np.array([0] * 11 + [1] * 3), np.arange(14) % 3 + 1
    made = Plan(lang, 4, mode, 0.5, 3, epochs=3)
    rows = [made.batch(step)[1] for step in range(made.total)]
    for steps in (1, made.per_epoch, made.total - 1, made.total):
        assert made.shown(steps) == sum(map(len, rows[:steps]))
        assert made.shown(steps, pairs) == sum(int(pairs[each].sum()) for each in rows[:steps])
