"""Appendix A's down-sampling: the same size and, among non-zero grades, the same number in every language.

Source: "The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval", Appendix A,
"Downsampling the annotated instances":

1. find the language with the fewest non-zero grades;
2. draw that many non-zero pairs in every language;
3. add pairs of grade 0, drawn at random, until each language has the total.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from graded.errors import DataError, ParamError


class Plan(NamedTuple):
    """How many pairs to draw in each language."""

    nonzero: int
    zero: int

    @property
    def total(self) -> int:
        """Pairs a language."""
        return self.nonzero + self.zero


def plan(counts: Mapping[str, tuple[int, int]], total: int | None) -> Plan:
    """Return the draw that all languages share.

    Args:
        counts: language -> (pairs with a non-zero grade, pairs with grade 0).
        total: pairs a language; None takes the most that every language can give.

    Raises:
        DataError: a language has no graded pair.
        ParamError: ``total`` is less than the non-zero pairs of rule 1 or more than some language can reach.
    """
    for lang, (some, none) in counts.items():
        if some + none == 0:
            raise DataError(
                f"balance {lang}: no graded pair; drop the language or see its outcomes in metrics/agree.json"
            )
    nonzero = min(some for some, _ in counts.values())
    scarce = min(counts, key=lambda lang: counts[lang][1])
    most = nonzero + counts[scarce][1]
    if total is None:
        return Plan(nonzero, most - nonzero)
    if not nonzero <= total <= most:
        raise ParamError(
            f"balance.total: received {total:,}; legal: {nonzero:,} (non-zero grades of the scarcest language)"
            f" to {most:,} ({scarce} has {counts[scarce][1]:,} zeros), or null for the most"
        )
    return Plan(nonzero, total - nonzero)
