"""The recipe: a change of what decides a result is another one, a change of how the work is done is not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from graded.experiments import results
from graded.formats import yaml12

VALUES = yaml12.read_mapping(Path(__file__).parents[2] / "params.yaml", "it stands in the root")


def changed(key: str, value: Any) -> dict[str, Any]:
    """Return params.yaml's content with another value at a dotted key."""
    values = copy.deepcopy(VALUES)
    *path, last = key.split(".")
    at = values
    for name in path:
        at = at[name]
    at[last] = value
    return values


@pytest.mark.parametrize(
    "key",
    [
        "candidate.unit", "sample.memory_gb", "balance.memory_gb", "pair.memory_gb", "query.mode", "grade.mode",
        "grade.batch", "query.base_url", "grade.annotators.sample-a.in_flight", "train.threads", "train.chunk",
    ],
)  # fmt: skip
def test_how_the_work_is_done_is_not_in_it(key: str) -> None:
    assert results.recipe(changed(key, 7)) == results.recipe(VALUES)


@pytest.mark.parametrize(
    "key",
    [
        "candidate.k", "candidate.dtype", "query.temperature", "grade.reask", "grade.annotators.sample-a.model",
        "train.batching.mode", "train.batch_size", "train.lora.rank", "balance.total", "sample.size", "train.epochs",
    ],
)  # fmt: skip
def test_what_decides_a_result_is_in_it(key: str) -> None:
    assert results.recipe(changed(key, 7)) != results.recipe(VALUES)
