"""What each combination of annotators keeps and says."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from graded.analysis.combine import combined, known
from graded.errors import ParamError
from tests.workspace import write_grades

A: dict[tuple[str, str], int | None] = {("q", "1"): 3, ("q", "2"): 1, ("q", "3"): 0, ("q", "4"): None, ("q", "5"): 2}
B: dict[tuple[str, str], int | None] = {("q", "1"): 2, ("q", "2"): 3, ("q", "3"): 0, ("q", "4"): 3}


@pytest.mark.parametrize(
    ("annotator", "expected"),
    [
        ("a", {"1": 3, "2": 1, "3": 0, "5": 2}),
        ("mean", {"1": 2.5, "2": 2, "3": 0}),
        ("min", {"1": 2, "2": 1, "3": 0}),
        ("max", {"1": 3, "2": 3, "3": 0}),
        ("agree", {"1": 2.5, "3": 0}),
    ],
)
def test_combinations(tmp_path: Path, annotator: str, expected: dict[str, float]) -> None:
    write_grades(tmp_path, "a", "fi", A)
    write_grades(tmp_path, "b", "fi", B)
    rows = duckdb.connect().execute(combined(tmp_path / "data/grade", ["a", "b"], annotator, "fi")).fetchall()
    assert {doc_id: grade for _, doc_id, grade in rows} == expected
    assert all(isinstance(grade, float) for _, _, grade in rows)


def test_who_may_be_named() -> None:
    known("a", ["a", "b"])
    known("mean", ["a", "b"])
    with pytest.raises(ParamError, match=r"received 'man' \(did you mean 'mean'\?\); legal: a, b, mean"):
        known("man", ["a", "b"])
    with pytest.raises(ParamError, match="needs two annotators"):
        known("mean", ["a"])
