"""Section train: numbers are finite numbers, and the line says which are legal."""

from __future__ import annotations

from typing import Any

import pytest

from graded.errors import ParamError
from graded.params import parse
from graded.retrieval.training.settings import Settings


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"temperature": float("inf")}, "train.temperature: received inf; expected a finite number above 0"),
        ({"temperature": 0}, "train.temperature: received 0; expected a finite number above 0"),
        ({"learning_rate": float("inf")}, "train.learning_rate: received inf; expected a finite number above 0"),
        ({"learning_rate": float("nan")}, "train.learning_rate: received nan; expected a finite number above 0"),
        ({"learning_rate": "1e-5"}, "train.learning_rate: received '1e-5'; expected a finite number above 0"),
        ({"epochs": True}, "train.epochs: received True; expected a whole number from 1 up"),
        ({"epochs": 1.5}, "train.epochs: received 1.5; expected a whole number from 1 up"),
        ({"batch_size": 1}, "train.batch_size: received 1; expected a whole number from 2 up"),
        ({"dropout": 1.0}, "train.dropout: received 1.0; expected a finite number from 0 to below 1"),
        ({"negatives": {"margin": -0.1}}, "negatives.margin: received -0.1; expected a finite number from 0 up"),
        ({"negatives": {"ranks": [2, True]}}, "ranks.1: received True; expected a whole number from 1 up"),
        ({"negatives": {"ranks": [9, 2]}}, r"ranks \[9, 2\]: expected 1 <= first <= last"),
    ],
)  # fmt: skip
def test_an_illegal_number_is_one_line(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamError, match=says):
        parse("train", values, Settings)


def test_legal_ones_are_kept() -> None:
    values = {"temperature": 1, "max_length": None, "negatives": {"margin": 0.0, "ranks": [1, 1]}}
    made = parse("train", values, Settings)
    assert (made.temperature, made.max_length, made.negatives.margin) == (1.0, None, 0.0)
    assert Settings().negatives.margin is None
