"""The tidy results table: what goes in comes out, in Parquet and in CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graded.errors import DataError, MissingError
from graded.experiments import tidy

ROW: dict[str, Any] = {
    "experiment": "figure5-fi-tau1",
    "tau": "1",
    "tau_target": 1,
    "target": "fi",
    "count": "pairs",
    "encoder": "e5, small\nrevision 1",
    "annotator": "a",
    "objective": "infonce",
    "seed": 13,
    "set": "miracl",
    "role": "test",
    "query_lang": "fi",
    "doc_lang": "fi",
    "system": "tuned",
    "metric": "nDCG@10",
    "value": 0.761,
    "queries": 1271,
}


@pytest.mark.parametrize("name", ["results.parquet", "results.csv"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    rows = [ROW, ROW | {"experiment": "", "extra": "ar", "size": 150_000, "share_mined": 0.5, "low": 0.7}]
    assert tidy.write(tmp_path / name, rows) == 2
    back = tidy.read(tmp_path / name)
    assert [list(row) for row in back] == [list(tidy.COLUMNS)] * 2
    for row, found in zip(rows, back, strict=True):
        assert {key: value for key, value in found.items() if value is not None} == row


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tau_targte": 1}, "received 'tau_targte' .did you mean 'tau_target'"),
        ({"queries": None}, "'queries' may not be null"),
        ({"value": "high"}, "value received 'high'"),
    ],
)
def test_a_wrong_row_is_one_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        tidy.write(tmp_path / "results.parquet", [ROW | change])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["results.parquet", "results.csv"])
def test_a_file_that_is_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingError, match="graded results --out"):
        tidy.read(tmp_path / name)
    (tmp_path / name).write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=name):
        tidy.read(tmp_path / name)


def test_scores_have_their_own_schema(tmp_path: Path) -> None:
    row = dict.fromkeys((*tidy.KEY, "query_id"), "x") | {"value": 0.5}
    tidy.write(tmp_path / "scores.parquet", [row], tidy.SCORES)
    assert tidy.read(tmp_path / "scores.parquet", tidy.SCORES) == [row]
