"""The decision rule: right, sparing, honest where nothing is shown, and with the error it states."""

from __future__ import annotations

import numpy as np
import pytest

from graded.analysis.calibrate import Gap, Look, judge, ladder, verdict
from graded.analysis.simultaneous import compare
from graded.errors import DataError, ParamError


def scores(means: dict[str, float], queries: int, seed: int, spread: float = 0.1) -> dict[str, np.ndarray]:
    """Per-query scores in [0, 1]: a query's own level, shared by the arms, and each arm's own noise around it."""
    generator = np.random.default_rng(seed)
    level = generator.beta(4, 2, queries)
    return {arm: np.clip(level + mean + generator.normal(0, spread, queries), 0, 1) for arm, mean in means.items()}


def look(found: dict[str, np.ndarray], size: int = 100, **settings: float) -> Look:
    return judge(size, found, compare(found, seed=3, resamples=2000, **settings))  # type: ignore[arg-type]


def test_a_clear_loser_is_out_and_goes_on_among_the_three_best() -> None:
    seen = look(scores({"1": 0.0, "2": -0.2, "3": -0.01}, 200, 1))
    assert seen.leader == "1"
    assert seen.out == ("2",)
    assert seen.kept == ("1", "3", "2")
    assert seen.gaps["1"] == Gap(0, 0, 0)
    assert seen.gaps["2"].low > 0
    assert seen.gaps["3"].low < 0 < seen.gaps["3"].high
    assert sum(seen.leads.values()) == pytest.approx(1)


def test_equal_arms_show_no_difference() -> None:
    seen = look(scores(dict.fromkeys("123", 0.0), 100, 2))
    assert seen.out == ()
    assert seen.left == ()
    assert verdict([seen]).shown == ()
    assert len(verdict([seen]).open) == 2


def test_identical_runs_are_a_tie_for_the_earlier_arm() -> None:
    one = scores({"1": 0.0}, 30, 4)["1"]
    seen = look({"1": one, "2": one.copy(), "3": one.copy()})
    assert seen.leader == "1"
    assert seen.kept == ("1", "2", "3")
    assert seen.gaps["3"] == Gap(0, 0, 0)
    assert seen.leads == pytest.approx({"1": 1 / 3, "2": 1 / 3, "3": 1 / 3})


def test_the_better_half_goes_on_three_at_least() -> None:
    four = look(scores({"1": 0.0, "1.5": -0.3, "2": -0.1, "3": -0.2}, 200, 1))
    assert (four.kept, four.left) == (("1", "2", "3"), ("1.5",))
    eight = look(scores({str(arm): -arm / 10 for arm in range(8)}, 200, 1))
    assert (eight.kept, eight.left) == (tuple("0123"), tuple("4567"))


def test_a_dropped_arm_stays_on_record() -> None:
    first = look(scores({"1": 0.0, "2": -0.2, "3": -0.002}, 300, 5))
    second = look(scores({"1": -0.1, "3": 0.0}, 300, 6), size=400)
    found = verdict([first, second])
    assert found.best == "3"
    assert set(found.shown) == {"2", "1"}
    assert found.open == ()


@pytest.mark.parametrize(("queries", "arms"), [(16, 3), (64, 3), (64, 5)])
def test_stated_confidence_holds_where_no_arm_is_better(queries: int, arms: int) -> None:
    names = [str(number) for number in range(arms)]
    wrong = 0
    for seed in range(200):
        found = scores(dict.fromkeys(names, 0.0), queries, seed)
        wrong += bool(judge(1, found, compare(found, seed=seed, resamples=400)).out)
    assert wrong / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_intervals_cover_all_true_gaps_at_once() -> None:
    means = {"1": 0.03, "2": 0.0, "3": -0.02}
    covered = 0
    for seed in range(200):
        generator = np.random.default_rng(1000 + seed)
        level = generator.uniform(0.3, 0.6, 80)
        found = {arm: level + mean + generator.normal(0, 0.1, 80) for arm, mean in means.items()}
        made = compare(found, seed=seed, resamples=400)
        true = np.array([[a - b for b in means.values()] for a in means.values()])
        covered += bool((np.abs(made.gap - true) <= made.margin + 1e-12).all())
    assert covered / 200 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 200)


def test_more_looks_widen_the_intervals() -> None:
    found = scores({"1": 0.0, "2": -0.03}, 100, 7)
    assert (compare(found, seed=1, looks=3).margin >= compare(found, seed=1).margin).all()
    assert (compare(found, seed=1, confidence=0.8).margin <= compare(found, seed=1).margin).all()


@pytest.mark.parametrize(
    "found", [{"1": np.ones(5)}, {"1": np.ones(5), "2": np.ones(4)}, {"1": np.ones(1), "2": np.ones(1)}]
)
def test_arms_that_cannot_be_compared(found: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="expected two or more of each"):
        compare(found, seed=0)


@pytest.mark.parametrize("arms", [2, 3, 4, 5, 9])
def test_a_race_that_never_decides_stays_within_its_share(arms: int) -> None:
    made = ladder(8000, arms, None, 0.5)
    spent = looks = last = 0
    runs = arms
    while (look := made.next_look(looks, runs, spent)) is not None:
        size, seeds = look
        assert size > last
        spent, looks, last = spent + runs * seeds * size, looks + 1, size
        runs = max(2, -(-runs // 2))
    assert looks == 2
    assert spent <= 0.5 * arms * 8000
    assert last >= 2000


def test_a_race_ends_when_one_arm_is_left() -> None:
    assert ladder(800, 3, None, 0.5).next_look(1, 1, 300) is None


@pytest.mark.parametrize(
    ("arms", "sizes", "share", "says"),
    [
        (1, None, 0.5, "two or more"),
        (3, [100, 120], 0.5, "1.5 times"),
        (3, [100, 1000], 0.5, "above the full size"),
        (3, [700], 0.5, "exceed 50% of the grid"),
    ],
)
def test_bad_ladders(arms: int, sizes: list[int] | None, share: float, says: str) -> None:
    with pytest.raises(ParamError, match=says):
        ladder(800, arms, sizes, share)


def test_training_noise_widens_the_intervals_and_is_remembered() -> None:
    one = scores({"1": 0.0, "2": -0.05}, 200, 8)
    quiet = {arm: np.stack([values, values]) for arm, values in one.items()}
    loud = {arm: np.stack([values - 0.1, values + 0.1]) for arm, values in one.items()}
    alone, same, wide = (compare(found, seed=1) for found in (one, quiet, loud))
    assert alone.noise.freedom == 0
    assert same.margin == pytest.approx(alone.margin)
    assert wide.noise.freedom == 2
    assert wide.noise.variance == pytest.approx(0.02, rel=0.1)  # (0.1^2 + 0.1^2) / 1
    assert wide.margin[0, 1] > 4 * same.margin[0, 1]
    later = compare(one, seed=1, noise=wide.noise)
    assert later.noise == wide.noise
    assert later.margin[0, 1] > wide.margin[0, 1]


def test_stated_confidence_holds_under_training_noise() -> None:
    """Two seeds an arm, arms that differ by the luck of training alone: the error stays at what is stated."""
    wrong = dict.fromkeys((1, 2), 0)
    for seed in range(200):
        generator = np.random.default_rng(seed)
        level = generator.uniform(0.2, 0.7, 64)
        runs = {arm: level + generator.normal(0, 0.03, (2, 1)) + generator.normal(0, 0.1, (2, 64)) for arm in "123"}
        for seeds in wrong:
            found = {arm: values[:seeds] for arm, values in runs.items()}
            wrong[seeds] += bool(judge(1, found, compare(found, seed=seed, resamples=400)).out)
    assert wrong[1] / 200 > 0.1  # one seed cannot know
    assert wrong[2] / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
