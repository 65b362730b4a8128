"""Which tau is best, at the least training: successive halving over nested data sizes, decided on paired queries.

A race starts with every tau at a small training size and keeps the better half for the next size, three at least. Being
shown worse at a small size sends nobody home: the best tau changes with the size (on real texts, one that was shown to
beat the others at an eighth of the data was the worst by far at all of it). What is shown at the last look counts.
Sizes are nested, so a later look trains on a superset of the earlier one.

Sources: Karnin, Koren and Somekh 2013, "Almost Optimal Exploration in Multi-Armed Bandits", and Jamieson and Talwalkar
2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (successive halving); Sakai 2014,
"Statistical Reform in Information Retrieval?" (intervals beside tests). The intervals: graded.analysis.simultaneous.

What the confidence covers: the draw of the queries and, where arms were trained with more than one seed, the
randomness of training, over all pairs of arms and all looks of one race. It does not cover a tau whose rank changes
above the last size looked at. With one seed an arm that was lucky in training looks shown to be better: in the planted
case of the tests that happened in one race of five.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from graded.analysis.simultaneous import Comparison
from graded.errors import ParamError, many

#: Arms that go on to the next size at least.
KEEP = 3
#: The first look is at a sixteenth of the data; where that is fewer pairs than these, at an eighth at most: few pairs
#: have no positive at a high tau.
SMALL = 100
#: A next size that is not at least this many times the last one is not worth a look.
WORTH = 1.5


class Gap(NamedTuple):
    """How far the leader is ahead of one arm: mean over queries, and its simultaneous interval."""

    mean: float
    low: float
    high: float


class Look(NamedTuple):
    """One size, judged.

    ``means`` holds each arm's mean; ``leads`` the share of query draws in which it has the highest; ``gaps`` how far
    the leader is ahead; ``out`` the arms that another is shown to beat at this size; ``left`` those left behind.
    """

    size: int
    queries: int
    leader: str
    means: dict[str, float]
    leads: dict[str, float]
    gaps: dict[str, Gap]
    out: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Arms that go on, best first."""
        going = (arm for arm in self.means if arm not in self.left)
        return tuple(sorted(going, key=lambda arm: (arm != self.leader, -self.means[arm])))


class Verdict(NamedTuple):
    """What a race ends with: ``best``, the arms it is ``shown`` to beat, and those it is not (``open``)."""

    best: str
    shown: tuple[str, ...]
    open: tuple[str, ...]


def judge(size: int, scores: Mapping[str, np.ndarray], comparison: Comparison) -> Look:
    """Judge one size: an arm is out where some arm's interval ahead of it lies wholly above 0.

    The better half of the arms (rounded up, ``KEEP`` at least) goes on; ties keep the earlier arm.
    """
    arms, means = comparison.arms, comparison.means
    order = np.argsort(-np.round(means, 12), kind="stable")
    leader = int(order[0])
    beaten = ((comparison.gap - comparison.margin) > 1e-12).any(axis=0)
    keep = max(KEEP, -(-len(arms) // 2))
    gaps = {}
    for at, arm in enumerate(arms):
        mean, margin = float(comparison.gap[leader, at]), float(comparison.margin[leader, at])
        gaps[arm] = Gap(mean, max(mean - margin, -1.0), min(mean + margin, 1.0))
    return Look(
        size=size,
        queries=scores[arms[0]].shape[-1],
        leader=arms[leader],
        means={arm: float(means[at]) for at, arm in enumerate(arms)},
        leads={arm: float(comparison.leads[at]) for at, arm in enumerate(arms)},
        gaps=gaps,
        out=tuple(arms[at] for at in order if beaten[at]),
        left=tuple(arms[at] for at in order[keep:]),
    )


def verdict(looks: Sequence[Look]) -> Verdict:
    """Return what the race shows: the last look's leader, and for each other arm whether it was shown to be worse.

    An arm counts as beaten that is out at the last look it was in; one left behind for cost stays open.
    """
    best = looks[-1].leader
    beaten = {arm: arm in look.out for look in looks for arm in look.means if arm != best}
    shown, still = (tuple(arm for arm, out in beaten.items() if out is told) for told in (True, False))
    return Verdict(best, shown, still)


class Ladder(NamedTuple):
    """Training sizes of the looks, seeds of each, and the budget all share, in graded pairs a language."""

    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    budget: int

    def next_look(self, looks: int, arms: int, spent: int) -> tuple[int, int] | None:
        """Return size and seeds of the next look, or None where the race ends.

        Args:
            looks: looks done.
            arms: settings that the next look trains, each with every seed.
            spent: sum over the looks done of (training runs x size).

        The planned size shrinks to what the budget still gives, as long as that is a worthwhile step.
        """
        if arms < 2 or looks >= len(self.sizes):
            return None
        runs = arms * self.seeds[looks]
        size = min(self.sizes[looks], (self.budget - spent) // runs)
        least = self.sizes[0] if looks == 0 else WORTH * self.sizes[looks - 1]
        return (size, self.seeds[looks]) if size >= least else None


def ladder(full: int, arms: int, sizes: Sequence[int] | None, share: float, seeds: int = 2) -> Ladder:
    """Return the ladder of a race.

    Args:
        full: graded pairs a language of the model that will be trained in the end.
        arms: number of values of tau.
        sizes: training sizes, rising; None is a sixteenth (see ``SMALL``) and a half of ``full``.
        share: budget as a share of the full grid, which trains every arm once at ``full``.
        seeds: training seeds of each arm in the first look; later looks take one and the noise seen in the first.

    Raises:
        ParamError: sizes that do not rise or exceed ``full``, or a budget that does not pay the first look.
    """
    if arms < 2:
        raise ParamError(f"calibrate: received {arms} value of tau; expected two or more, such as --tau 1,2,3")
    chosen = tuple(sizes) if sizes else (max(full // 16, min(full // 8, SMALL), 1), max(full // 2, 2))
    if any(later < WORTH * earlier for earlier, later in pairwise(chosen)) or chosen[0] < 1:
        raise ParamError(
            f"calibrate: sizes {list(chosen)}; expected each to be {WORTH:g} times the one before, or more"
        )
    if chosen[-1] > full:
        raise ParamError(f"calibrate: size {chosen[-1]:,} is above the full size {full:,}; expected up to that")
    made = Ladder(chosen, (seeds, *(1 for _ in chosen[1:])), int(share * arms * full))
    if made.next_look(0, arms, 0) is None:
        raise ParamError(
            f"calibrate: {arms} values of tau at {chosen[0]:,} pairs with {many(seeds, 'seed')} exceed"
            f" {share:.0%} of the grid ({made.budget:,} pairs); lower the first size or the seeds, or raise the share"
        )
    return made
