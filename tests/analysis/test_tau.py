"""Which thresholds are legal, and what a mapping means."""

from __future__ import annotations

from typing import Any

import pytest

from graded.analysis.tau import canonical, thresholds, told
from graded.errors import ParamError


def test_a_number_is_for_every_language() -> None:
    assert thresholds(1.5, ["fi", "ar"]) == {"fi": 1.5, "ar": 1.5}


def test_a_mapping_falls_back_to_its_default() -> None:
    assert thresholds({"default": 2, "fi": 1}, ["fi", "ar"]) == {"fi": 1.0, "ar": 2.0}
    assert thresholds({"fi": 1, "ar": 3}, ["fi", "ar"]) == {"fi": 1.0, "ar": 3.0}


@pytest.mark.parametrize(
    ("tau", "says"),
    [
        (0, "received 0"),
        (3.5, "received 3.5"),
        (True, "received True"),
        ("2", "received '2'"),
        (None, "received None"),
        ({"fi": 4}, "tau.fi: received 4"),
        ({"fr": 1, "default": 2}, "received 'fr'"),
        ({"fi": 1}, "no value for ar"),
    ],
)
def test_the_rest_is_one_clear_line(tau: Any, says: str) -> None:
    with pytest.raises(ParamError, match=says):
        thresholds(tau, ["fi", "ar"])


def test_one_text_in_tables_and_one_for_reading() -> None:
    assert canonical(2) == canonical(2.0) == "2"
    assert canonical(1.5) == "1.5"
    assert canonical({"fi": 1, "default": 2, "ar": 1.5}) == "default=2,ar=1.5,fi=1"
    assert told(canonical(2)) == "2"
    assert told(canonical({"fi": 1.5, "default": 2})) == "2, fi 1.5"
