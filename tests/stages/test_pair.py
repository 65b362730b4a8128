"""Stage pair: tau, nested sizes, mixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from graded.errors import DataError, ParamError
from graded.formats import table
from graded.stages import pair
from tests.workspace import write_params

BALANCE = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("grade", pa.float64())])
QUERY = pa.schema([("query_id", pa.string()), ("text", pa.string())])


@pytest.fixture
def workspace(here: Path) -> Path:
    for lang in ("fi", "ar"):
        pairs = [(f"q{q}", f"d{d}", float((q + d) % 4)) for q in range(10) for d in range(5)]
        table.write_rows(Path(f"data/balance/{lang}.parquet"), BALANCE, pairs)
        table.write_rows(Path(f"data/query/{lang}.parquet"), QUERY, [(f"q{q}", f"{lang} query {q}") for q in range(10)])
        passages = [(f"d{d}", "T" if d else "", f"{lang} text {d}") for d in range(5)]
        table.write_rows(Path(f"data/sample/{lang}.parquet"), table.PASSAGES, passages)
    return here


def run(workspace: Path, tau: Any = 2, **chosen: Any) -> list[dict[str, Any]]:
    write_params(workspace, tau=tau, pair=chosen)
    pair.main()
    return table.open_parquet(Path("data/pair.parquet")).read().to_pylist()


def keys(rows: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(row["lang"], row["query_id"], row["doc_id"]) for row in rows}


def test_texts_grades_and_labels(workspace: Path) -> None:
    rows = run(workspace)
    assert len(rows) == 100
    assert all(row["positive"] == (row["grade"] >= 2) for row in rows)
    one = next(row for row in rows if (row["lang"], row["query_id"], row["doc_id"]) == ("fi", "q1", "d2"))
    assert (one["query"], one["passage"], one["grade"]) == ("fi query 1", "T fi text 2", 3.0)
    assert next(row for row in rows if row["doc_id"] == "d0")["passage"] == "ar text 0"


def test_tau_per_language(workspace: Path) -> None:
    rows = run(workspace, tau={"default": 3, "fi": 1})
    lowest = {lang: min(r["grade"] for r in rows if r["lang"] == lang and r["positive"]) for lang in ("fi", "ar")}
    assert lowest == {"fi": 1, "ar": 3}


@pytest.mark.parametrize("count", ["pairs", "positives"])
def test_sizes_are_nested_and_exact(workspace: Path, count: str) -> None:
    small, large = run(workspace, size=7, count=count), run(workspace, size=15, count=count)
    assert keys(small) < keys(large)
    for rows, size in ((small, 7), (large, 15)):
        for lang in ("fi", "ar"):
            mine = [row for row in rows if row["lang"] == lang]
            assert (len(mine) if count == "pairs" else sum(row["positive"] for row in mine)) == size


def test_pairs_of_a_size_do_not_depend_on_tau(workspace: Path) -> None:
    assert keys(run(workspace, tau=1, size=20)) == keys(run(workspace, tau=3, size=20))


def test_one_language_and_a_mixture(workspace: Path) -> None:
    assert {row["lang"] for row in run(workspace, target="fi")} == {"fi"}
    rows = run(workspace, target="fi", size=20, extra={"language": "ar", "size": 5})
    assert [sum(row["lang"] == lang for row in rows) for lang in ("fi", "ar")] == [20, 5]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"target": "fr"}, "received 'fr'.*legal: all, fi, ar"),
        ({"extra": {"language": "ar"}}, "pair.target is all languages already"),
        ({"target": "fi", "extra": {"language": "fi"}}, "legal: ar"),
        ({"size": 0}, "pair.size: received 0"),
    ],
)
def test_illegal_mixtures(workspace: Path, chosen: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamError, match=says):
        run(workspace, **chosen)


def test_no_positive_at_all_names_the_way_on(workspace: Path) -> None:
    for lang in ("fi", "ar"):
        table.write_rows(Path(f"data/balance/{lang}.parquet"), BALANCE, [("q1", "d1", 1.0)])
    with pytest.raises(DataError, match=r"no grade reaches tau .*-S tau=1"):
        run(workspace, tau=3)
    assert not Path("data/pair.parquet").exists()
