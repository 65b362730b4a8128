"""Stages query and grade on recorded replies: pure slices of the ledger, and one line where a reply is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graded.cli.estimate import jobs
from graded.cli.ledger import app
from graded.errors import BudgetError, MissingError, ParamError
from graded.formats import table
from graded.llm.estimate import Rough
from graded.llm.job import Job
from graded.llm.ledger import last_run
from graded.stages import grade, query
from tests.llm import workspace as work
from tests.workspace import write_params


@pytest.fixture
def folder(here: Path) -> Path:
    work.make(here)
    return here


def record(*paths: Path) -> str:
    done = CliRunner().invoke(app, ["record", *map(str, paths)])
    assert done.exit_code == 0, done.output
    return done.output


def test_recorded_readings_become_queries_and_grades(folder: Path) -> None:
    queries = work.write_readings(folder / "queries.jsonl", work.recorded_queries())
    assert record(queries) == "16 replies recorded, 0 were there\n"
    assert record(queries) == "0 replies recorded, 16 were there\n"
    query.main()
    rows = list(table.read_rows(Path("data/query/fi.parquet")))
    assert len({row[0] for row in rows}) == 8
    assert [row[1:] for row in rows[:2]] == [
        ("doc 0", "question", "fi question 0", "ok"),
        ("doc 0", "keywords", "fi keywords 0", "ok"),
    ]
    assert not any(character.isspace() for row in rows for character in row[0])
    counts = {"queries": 8, "written": 8, "refused": 0, "filtered": 0, "truncated": 0, "unparseable": 0}
    assert json.loads(Path("metrics/query.json").read_text()) == {"fi": counts, "ar": counts}
    work.make_candidates(folder)
    for annotator in ("a", "b"):
        record(work.write_readings(folder / f"{annotator}.tsv", work.recorded_grades(annotator)))
    grade.main()
    for annotator in ("a", "b"):
        for lang in ("fi", "ar"):
            found = list(table.read_rows(Path(f"data/grade/{annotator}/{lang}.parquet")))
            assert {(row[0], row[1]): row[3] for row in found} == work.expected_grades(annotator, lang)
            assert [(row[0], row[2]) for row in found] == sorted((row[0], row[2]) for row in found)
            assert all(row[4:] == (None, None, "ok") for row in found)
    note = last_run("grade")
    assert note is not None
    assert (note.reused, note.bought, note.dollars) == (96, 0, 0.0)


def test_slices_are_byte_identical_whatever_the_ledgers_files(folder: Path) -> None:
    rows = work.recorded_queries()
    record(work.write_readings(folder / "all.jsonl", rows))
    query.main()
    first = Path("data/query/fi.parquet").read_bytes()
    shutil.rmtree(".ledger")
    for part in (rows[9:], rows[:9]):
        record(work.write_readings(folder / "part.jsonl", part))
    query.main()
    assert Path("data/query/fi.parquet").read_bytes() == first


@pytest.mark.parametrize("passages", [1, 3, 99])
def test_queries_for_fewer_passages_are_those_of_the_first_ones(folder: Path, passages: int) -> None:
    record(work.write_readings(folder / "queries.jsonl", work.recorded_queries()))
    query.main()
    every = list(table.read_rows(Path("data/query/fi.parquet")))
    values = {**work.RECORDED["query"], "passages": passages}
    write_params(folder, query=values, grade=work.RECORDED["grade"])
    job = next(one for one in jobs() if isinstance(one, Job))
    query.main()
    few = list(table.read_rows(Path("data/query/fi.parquet")))
    assert few == every[: 2 * passages]
    assert len(list(job.asks())) == 2 * len(few)


@pytest.mark.parametrize("passages", [0, -1, "all"])
def test_a_wrong_number_of_passages_is_one_line(folder: Path, passages: object) -> None:
    write_params(folder, query={**work.RECORDED["query"], "passages": passages}, grade=work.RECORDED["grade"])
    with pytest.raises(ParamError, match=r"query\.passages: received"):
        query.main()


def test_the_estimate_follows_the_number_of_passages(folder: Path) -> None:
    values = {**work.RECORDED["query"], "passages": 3}
    write_params(folder, query=values, grade=work.RECORDED["grade"], candidate={"k": 2})
    rough = [one for one in jobs() if isinstance(one, Rough)]
    assert [one.requests for one in rough] == [{"fi": 3 * 2 * 2, "ar": 3 * 2 * 2}] * 2
    record(work.write_readings(folder / "queries.jsonl", work.recorded_queries()))
    query.main()
    work.make_candidates(folder, depth=2)
    assert [len(list(one.asks())) for one in jobs() if isinstance(one, Job)] == [12, 24, 24]


def test_a_missing_recorded_reply_is_one_line(folder: Path) -> None:
    record(work.write_readings(folder / "some.jsonl", work.recorded_queries()[:-3]))
    with pytest.raises(MissingError, match=r"^3 replies of writer \(query\) .* recorded only.*graded ledger pull"):
        query.main()
    assert not Path("data/query").exists()


def test_without_a_budget_nothing_is_bought(folder: Path) -> None:
    write_params(
        folder, query={"model": "gpt-4o-2024-11-20", "base_url": "http://127.0.0.1:9"}, grade=work.RECORDED["grade"]
    )
    with pytest.raises(
        BudgetError, match=r"^16 replies are missing and would cost about \$0\.01; .*GRADED_BUDGET_USD="
    ):
        query.main()


def test_an_unknown_price_is_an_error(folder: Path) -> None:
    write_params(folder, query={"model": "gpt-4o-2024-11-21"}, grade=work.RECORDED["grade"])
    with pytest.raises(ParamError, match=r"no price for family openai.*did you mean 'gpt-4o-2024-11-20'"):
        query.main()


def test_a_snapshot_that_is_not_pulled_stops_before_buying(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADED_BUDGET_USD", "100")
    write_params(
        folder, query={"model": "gpt-4o-2024-11-20", "base_url": "http://127.0.0.1:9"}, grade=work.RECORDED["grade"]
    )
    Path("data/ledger.dvc").write_text("outs:\n- md5: abc.dir\n  size: 10\n  nfiles: 1\n  path: ledger\n")
    with pytest.raises(MissingError, match=r"run: graded ledger pull"):
        query.main()
