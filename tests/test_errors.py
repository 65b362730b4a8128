"""Texts that every part puts into what it says."""

from __future__ import annotations

import pytest

from graded.errors import many


@pytest.mark.parametrize(
    ("count", "word", "verb", "expected"),
    [
        (1, "batch", "are", "1 batch is"),
        (2, "batch", "are", "2 batches are"),
        (0, "query", "have", "0 queries have"),
        (1, "query", "have", "1 query has"),
        (1_200, "reply", "", "1,200 replies"),
        (1, "passage", "lack", "1 passage lacks"),
        (3, "day", "", "3 days"),
        (2, "recorded run", "were", "2 recorded runs were"),
        (1, "recorded run", "were", "1 recorded run was"),
    ],
)
def test_one_is_no_plural(count: int, word: str, verb: str, expected: str) -> None:
    assert many(count, word, verb) == expected
