"""Score distributions and agreement of the annotators, per language (the paper's Figures 3 and 4).

Reads: data/grade/<annotator>/<lang>.parquet.
Writes: metrics/agree.json:

    {"<lang>": {"<annotator>": {"pairs", "graded", "mean", "0" .. "3", "refused", "filtered", "truncated",
                                "unparseable"},
                "<first> | <second>": {"pairs", "kappa": {"value", "low", "high"}, "AC2": {...}, "exact",
                                       "within_one", "lean", "confusion": [[...] * 4] * 4}}}

Rows of ``confusion`` are the first annotator's grades; a figure that is not defined is null.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from graded import params
from graded.analysis import agreement
from graded.analysis.statistics import Interval, bootstrap
from graded.console import run, say
from graded.errors import many
from graded.formats.atomic import write_text
from graded.records import Outcome

GRADE, OUT = Path("data/grade"), Path("metrics/agree.json")


class Params(params.Section):
    """The intervals."""

    resamples: int = Field(1000, ge=100, description="bootstrap draws over queries")
    confidence: float = Field(0.95, gt=0, lt=1, description="of the intervals, a share")


def main() -> None:
    """Run the stage."""
    chosen, seed, languages = params.section("agree", Params), params.seed(), params.languages()
    annotators = params.shared("annotators")
    found: dict[str, dict[str, Any]] = {}
    for lang in languages:
        found[lang] = {one: alone(GRADE / one / f"{lang}.parquet") for one in annotators}
        for first, second in agreement.couples(annotators):
            paths = (GRADE / first / f"{lang}.parquet", GRADE / second / f"{lang}.parquet")
            both = together(*paths, seed=seed, resamples=chosen.resamples, confidence=chosen.confidence)
            found[lang][f"{first} | {second}"] = both
            kappa = both["kappa"]
            say(f"agree {lang}: {first} | {second}: kappa {_shown(kappa)}, {many(both['pairs'], 'pair')}")
    if len(annotators) < 2:
        say(f"agree: {annotators[0]!r} is the only one in `annotators`: distributions alone, agreement needs two")
    write_text(OUT, compact(found))


def alone(path: Path) -> dict[str, Any]:
    """Return one annotator's distribution in one language (Figure 3) and what was no grade."""
    grades, outcomes = agreement.distribution(path)
    graded = sum(grades)
    mean = sum(grade * count for grade, count in enumerate(grades)) / graded if graded else math.nan
    return {
        "pairs": graded + sum(outcomes.values()),
        "graded": graded,
        "mean": _number(mean),
        **{str(grade): count for grade, count in enumerate(grades)},
        **{str(outcome): outcomes.get(outcome, 0) for outcome in Outcome if outcome is not Outcome.OK},
    }


def together(first: Path, second: Path, *, seed: int, resamples: int, confidence: float) -> dict[str, Any]:
    """Return two annotators' agreement in one language (Figure 4), with intervals over queries."""
    rows, times = agreement.confusions(first, second)
    counts = (times[:, None] * rows).sum(axis=0).reshape(agreement.GRADES, agreement.GRADES)

    def interval(statistic: Any) -> dict[str, float | None]:
        def of(sums: Any) -> Any:
            return statistic(sums.reshape(*sums.shape[:-1], agreement.GRADES, agreement.GRADES))

        found = bootstrap(rows, times, of, seed=seed, resamples=resamples, confidence=confidence)
        return {name: _number(value) for name, value in zip(Interval._fields, found, strict=True)}

    return {
        "pairs": int(counts.sum()),
        "kappa": interval(agreement.quadratic_weighted_kappa),
        "AC2": interval(agreement.gwet_ac2),
        "exact": _number(agreement.within(counts.astype(np.float64), 0)),
        "within_one": _number(agreement.within(counts.astype(np.float64), 1)),
        "lean": _number(agreement.lean(counts.astype(np.float64))),
        "confusion": counts.tolist(),
    }


def compact(value: Any) -> str:
    """Return JSON that diffs well, a row of a matrix on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return re.sub(r"\[\s*([-\d.,\s]+?)\s*\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _shown(kappa: dict[str, float | None]) -> str:
    value, low, high = kappa.values()
    return "not defined" if value is None or low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    run(main)
