"""Races side by side: each subject (a language, or a whole mixture) has its own tau, and they share training runs.

In a model of several languages each training run carries one arm of every language, so that one look of all the
languages costs no more runs than one look of one of them. What that leaves out: that a language's best tau depends on
the tau of the others (Section 5 of the paper); a race whose arms are whole mixtures looks at that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graded.analysis.calibrate import Ladder, Look, Verdict, judge, verdict
from graded.analysis.simultaneous import Noise, compare

#: One training run: subject -> its arm.
Setting = dict[str, str]
#: Trains every setting at a size with a number of seeds; returns, for each setting, subject -> scores of its queries
#: (float [seeds, Q] in [0, 1]).
Trainer = Callable[[int, int, list[Setting]], list[dict[str, np.ndarray]]]


class Result(NamedTuple):
    """Looks of each subject in order, the noise of training that was seen (a variance; none with one seed), and the
    training that they took: sum of runs x size, in pairs a language."""

    looks: dict[str, list[Look]]
    noise: dict[str, Noise]
    spent: int

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What each race shows."""
        return {subject: verdict(looks) for subject, looks in self.looks.items()}


def race(
    arms: Mapping[str, Sequence[str]],
    ladder: Ladder,
    train: Trainer,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 10_000,
    tell: Callable[[str, Look], None] = lambda subject, look: None,
) -> Result:
    """Run the races of all subjects side by side.

    Args:
        arms: subject -> its arms, in the order in which ties are decided.
        ladder: sizes and budget.
        train: trains and scores; called once a look with all its settings.
        seed: of the bootstrap draws.
        confidence: of all intervals of one race.
        resamples: bootstrap draws a look.
        tell: told of each look as it is judged.
    """
    alive = {subject: list(names) for subject, names in arms.items()}
    looks: dict[str, list[Look]] = {subject: [] for subject in arms}
    noise = dict.fromkeys(arms, Noise())
    spent = done = 0
    while True:
        settings = side_by_side(alive)
        planned = ladder.next_look(done, len(settings), spent)
        if planned is None:
            return Result(looks, noise, spent)
        size, seeds = planned
        scored = train(size, seeds, settings)
        for subject, names in alive.items():
            if len(names) < 2:
                continue
            scores: dict[str, np.ndarray] = {}
            for setting, found in zip(settings, scored, strict=True):
                scores.setdefault(setting[subject], found[subject])
            made = compare(
                scores,
                seed=seed,
                confidence=confidence,
                looks=len(ladder.sizes),
                resamples=resamples,
                noise=noise[subject],
            )
            noise[subject] = made.noise
            look = judge(size, scores, made)
            looks[subject].append(look)
            alive[subject] = list(look.kept)
            tell(subject, look)
        spent, done = spent + len(settings) * seeds * size, done + 1


def side_by_side(alive: Mapping[str, Sequence[str]]) -> list[Setting]:
    """Return the fewest settings in which every arm of every subject stands once; shorter lists repeat their last."""
    runs = max(len(names) for names in alive.values())
    return [{subject: names[min(run, len(names) - 1)] for subject, names in alive.items()} for run in range(runs)]
