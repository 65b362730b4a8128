"""Stage agree: distributions and agreement from real grade tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graded.errors import MissingError
from graded.formats import table
from graded.stages import agree
from tests.workspace import GRADES, write_grades, write_params

Grades = dict[tuple[str, str], int | None]


def run(folder: Path, annotators: dict[str, dict[str, Grades]], **chosen: Any) -> dict[str, Any]:
    languages = list(next(iter(annotators.values())))
    write_params(folder, languages=languages, annotators=list(annotators), agree={"resamples": 200, **chosen})
    for name, by_lang in annotators.items():
        for lang, grades in by_lang.items():
            write_grades(folder, name, lang, grades)
    agree.main()
    found: dict[str, Any] = json.loads(Path("metrics/agree.json").read_text())
    return found


def pairs(*grades: int | None) -> Grades:
    return {(f"q{n // 2}", f"d{n}"): grade for n, grade in enumerate(grades)}


def test_distributions_and_agreement_per_language(here: Path) -> None:
    found = run(
        here,
        {
            "a": {"fi": pairs(0, 1, 2, 3, None, 3), "ar": pairs(0, 0, 3, 3)},
            "b": {"fi": pairs(0, 1, 1, 3, 2, None), "ar": pairs(0, 0, 3, 3)},
        },
    )
    none = {"filtered": 0, "truncated": 0, "unparseable": 0}
    assert found["fi"]["a"] == {
        "pairs": 6, "graded": 5, "mean": 1.8, "0": 1, "1": 1, "2": 1, "3": 2, "refused": 1, **none,
    }  # fmt: skip
    both = found["fi"]["a | b"]
    assert both["pairs"] == 4
    assert both["confusion"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert (both["exact"], both["within_one"], both["lean"]) == (0.75, 1.0, -0.25)
    assert both["kappa"]["low"] <= both["kappa"]["value"] <= both["kappa"]["high"]
    assert found["ar"]["a | b"]["kappa"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_every_outcome_is_counted_apart(here: Path) -> None:
    outcomes = ["ok", "refused", "filtered", "filtered", "truncated", "unparseable"]
    rows = [
        ("q", f"d{n}", 1, 2 if outcome == "ok" else None, None, None, outcome) for n, outcome in enumerate(outcomes)
    ]
    write_params(here, languages=["fi"], annotators=["a"], agree={})
    table.write_rows(Path("data/grade/a/fi.parquet"), GRADES, rows)
    agree.main()
    fi = json.loads(Path("metrics/agree.json").read_text())["fi"]["a"]
    assert (fi["refused"], fi["filtered"], fi["truncated"], fi["unparseable"]) == (1, 2, 1, 1)
    assert (fi["pairs"], fi["graded"], fi["2"], fi["0"]) == (6, 1, 1, 0)


def test_one_annotator_has_a_distribution_and_is_told_that_agreement_needs_two(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(here, {"a": {"fi": pairs(1, 2)}})
    assert list(found["fi"]) == ["a"]
    assert "agreement needs two" in capsys.readouterr().out


def test_three_annotators_are_compared_two_by_two(here: Path) -> None:
    one = {"fi": pairs(0, 1, 2, 3)}
    found = run(here, {"a": one, "b": one, "c": one})
    assert [name for name in found["fi"] if "|" in name] == ["a | b", "a | c", "b | c"]


def test_what_is_not_defined_is_null_and_nothing_in_common_is_no_crash(here: Path) -> None:
    found = run(
        here,
        {
            "a": {"fi": pairs(2, 2), "ar": pairs(1, None), "en": pairs(None)},
            "b": {"fi": pairs(2, 2), "ar": pairs(None, 1), "en": pairs(None)},
        },
    )
    assert found["fi"]["a | b"]["kappa"]["value"] is None
    assert found["fi"]["a | b"]["AC2"]["value"] == 1.0
    assert found["ar"]["a | b"]["pairs"] == 0
    assert found["ar"]["a | b"]["exact"] is None
    assert found["en"]["a"]["mean"] is None


def test_the_file_is_the_same_twice_and_holds_a_row_a_line(here: Path) -> None:
    annotators = {"a": {"fi": pairs(0, 1, 2, 3, 2)}, "b": {"fi": pairs(0, 2, 2, 3, 1)}}
    run(here, annotators)
    first = Path("metrics/agree.json").read_text()
    run(here, annotators)
    assert Path("metrics/agree.json").read_text() == first
    assert "        [0, 0, 1, 0]" in first
    assert len(first.splitlines()) < 60


def test_a_language_without_grades_says_what_brings_them(here: Path) -> None:
    write_params(here, languages=["fi"], annotators=["a"], agree={})
    with pytest.raises(MissingError, match="dvc repro"):
        agree.main()
