"""Stage balance: the same numbers in every language, drawn without regard to which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graded.errors import DataError, MissingError, ParamError
from graded.formats import table
from graded.stages import balance
from tests.workspace import write_grades, write_params

GRADES = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def run(folder: Path, grades: dict[str, list[int | None]], annotator: str = "a", **chosen: Any) -> dict[str, list[Any]]:
    write_params(folder, languages=list(grades), annotators=["a"], annotator=annotator, balance=chosen)
    for lang, values in grades.items():
        write_grades(folder, "a", lang, {(f"q{n}", "d"): value for n, value in enumerate(values)})
    balance.main()
    return {lang: list(table.read_rows(Path(f"data/balance/{lang}.parquet"))) for lang in grades}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(GRADES, GRADES, GRADES))
def test_the_three_rules_hold_in_the_tables(here: Path, grades: tuple[list[int], ...]) -> None:
    by_lang: dict[str, list[int | None]] = dict(zip(("fi", "ar", "en"), map(list, grades), strict=True))
    if not all(any(values) for values in grades):
        with pytest.raises(DataError, match="grades are 0"):
            run(here, by_lang)
        return
    out = run(here, by_lang)
    fewest = min(sum(grade > 0 for grade in values) for values in grades)
    for lang, rows in out.items():
        have = {f"q{n}": grade for n, grade in enumerate(by_lang[lang])}
        assert sum(grade > 0 for _, _, grade in rows) == fewest
        assert all(have[query] == grade for query, _, grade in rows)
        assert len({query for query, _, _ in rows}) == len(rows)
    assert len({len(rows) for rows in out.values()}) == 1


def test_a_smaller_total_draws_fewer_zeros_only(here: Path) -> None:
    grades: dict[str, list[int | None]] = {"fi": [1, 2, 0, 0, 0], "ar": [3, 3, 3, 0, 0, 0]}
    out = run(here, grades, total=3)
    assert {lang: sorted(grade > 0 for _, _, grade in rows) for lang, rows in out.items()} == {
        "fi": [False, True, True],
        "ar": [False, True, True],
    }
    with pytest.raises(ParamError, match=r"legal: 2 .* to 5 "):
        run(here, grades, total=6)


def test_off_keeps_every_graded_pair_and_never_a_refused_one(here: Path) -> None:
    out = run(here, {"fi": [1, None, 0], "ar": [2]}, enabled=False)
    assert [grade for _, _, grade in out["fi"]] == [1, 0]
    assert len(out["ar"]) == 1


def test_an_unknown_annotator_is_named(here: Path) -> None:
    with pytest.raises(ParamError, match="annotator"):
        run(here, {"fi": [1]}, annotator="zzz")


def test_grades_that_are_not_here_name_the_command(here: Path) -> None:
    write_params(here, languages=["fi"], annotators=["a"], annotator="a", balance={})
    with pytest.raises(MissingError, match=r"no data/grade/a/fi.parquet here; 'dvc repro'"):
        balance.main()
