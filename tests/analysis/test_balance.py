"""Appendix A's three rules, on random counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graded.analysis.balance import plan
from graded.errors import DataError, ParamError

COUNTS = st.dictionaries(
    st.sampled_from(["fi", "ar", "ja", "ru", "es", "en"]),
    st.tuples(st.integers(0, 500), st.integers(0, 500)).filter(lambda pair: sum(pair) > 0),
    min_size=1,
)


@given(COUNTS, st.integers(0, 1100))
def test_the_three_rules(counts: dict[str, tuple[int, int]], total: int) -> None:
    scarcest = min(nonzero for nonzero, _ in counts.values())
    most = scarcest + min(zeros for _, zeros in counts.values())
    if total == 0 or not scarcest <= total <= most:
        drawn = plan(counts, None)
        assert drawn.total == most
    else:
        drawn = plan(counts, total)
        assert drawn.total == total
    # 1 and 2: the scarcest language's number of non-zero grades, which every language has
    assert drawn.nonzero == scarcest
    # 3: filled up with zeros that every language has
    assert all(drawn.zero <= zeros for _, zeros in counts.values())
    assert drawn.nonzero + drawn.zero == drawn.total


@given(COUNTS, st.integers(0, 1100))
def test_a_total_that_cannot_be_reached_names_the_range(counts: dict[str, tuple[int, int]], total: int) -> None:
    scarcest = min(nonzero for nonzero, _ in counts.values())
    most = scarcest + min(zeros for _, zeros in counts.values())
    if total < scarcest or total > most:
        with pytest.raises(ParamError, match=f"legal: {scarcest:,} .* to {most:,} "):
            plan(counts, total)


def test_a_language_without_a_graded_pair() -> None:
    with pytest.raises(DataError, match="balance ar: no graded pair"):
        plan({"fi": (3, 2), "ar": (0, 0)}, None)
