"""Stage grade: what is wrong in params is one line; its rows are tested with stage query's."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.errors import DataError, ParamError
from graded.formats import table
from graded.stages import grade
from tests.llm import workspace as work
from tests.workspace import write_params


@pytest.fixture
def folder(here: Path) -> Path:
    work.make(here)
    return here


def test_a_wrong_annotator_is_named(folder: Path) -> None:
    write_params(folder, annotators=["a", "c"], **work.RECORDED)
    with pytest.raises(ParamError, match=r"annotators: received 'c'.*legal: a, b"):
        grade.main()


def test_a_candidate_that_no_sample_holds_is_named(folder: Path) -> None:
    for lang in ("fi", "ar"):
        table.write_rows(Path(f"data/query/{lang}.parquet"), table.QUERIES, [("q", "text")])
        table.write_rows(Path(f"data/candidate/{lang}.parquet"), work.CANDIDATES, [("q", "elsewhere", 1, 0.5)])
    with pytest.raises(DataError, match="no row 'elsewhere'"):
        grade.main()
