"""Tables: the paper's layout, the right arms in the right cells, paired intervals, published values beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graded.analysis import tables, tables_arms, tables_paper
from graded.analysis.tables import Cell, Table
from tests.analysis import made


def find(table: Table | None, *names: str) -> dict[str, Cell]:
    """Return column -> cell of the row whose names are ``names``, as the CSV repeats them."""
    assert table is not None
    seen = ""
    for row in table.rows:
        seen = row[0].text or seen
        if (seen, *(cell.text for cell in row[1 : table.heads])) == names:
            return dict(zip(table.columns[table.heads :], row[table.heads :], strict=True))
    raise AssertionError(f"no row {names}")


def test_table_1() -> None:
    table = tables_paper.mixtures(made.sweep(), "gpt-4o", "miracl", "nDCG@10")
    assert table is not None
    assert table.columns == ("Target", "Added", "τ = 1", "τ = 2", "τ = 3")
    assert [row[0].text for row in table.rows if row[0].text] == ["fi", "ar", "ru", "es"]
    alone = find(table, "ar", "-")["τ = 2"]
    assert alone.value == made.value("ar", "ar", 2, 150_000)
    assert alone.published is not None
    assert alone.published.value == 0.762
    added = find(table, "ar", "fi")["τ = 2"]
    assert added.text == "-6.0%"
    assert added.tone == pytest.approx(-0.3, abs=0.01)
    assert added.published is not None
    assert added.published.value == -24.3
    assert find(table, "fi", "ja")["τ = 1"].published is None


def test_an_interval_of_a_change_is_paired() -> None:
    rows = [row for row in made.table1() if row["target"] == "fi" and row["extra"] in (None, "ar")]
    random = np.random.default_rng(1)
    queries = {f"q{at}": float(value) for at, value in enumerate(random.uniform(0.2, 1, 200))}
    scores = {
        tuple(row[name] for name in ("experiment", "set", "query_lang", "doc_lang", "system", "metric")): {
            name: value * (0.9 if row["extra"] else 1.0) for name, value in queries.items()
        }
        for row in rows
        if row["system"] == "tuned"
    }
    cell = find(tables_paper.mixtures(rows, "gpt-4o", "miracl", "nDCG@10", scores), "fi", "ar")["τ = 1"]
    assert cell.low == pytest.approx(-10, abs=1e-6)
    assert cell.high == pytest.approx(-10, abs=1e-6)
    without = find(tables_paper.mixtures(rows, "gpt-4o", "miracl", "nDCG@10", {}), "fi", "ar")["τ = 1"]
    assert (without.low, without.high) == (None, None)


def test_table_2() -> None:
    table = tables_paper.across(made.sweep(), "gpt-4o", "clirmatrix", "nDCG@10")
    assert table is not None
    assert table.groups == (("Low-Med resource", 2), ("High resource", 3))
    cell = find(table, "en")["ja"]
    expected = (made.value("en", "ja", 3, 300_000) / made.value("en", "ja", 1, 300_000) - 1) * 100
    assert cell.value == pytest.approx(expected)
    assert cell.tone > 0
    assert cell.published is not None
    assert cell.published.value == 5.15
    assert tables_paper.across(made.figure5(), "gpt-4o", "miracl", "nDCG@10") is None


def test_objectives_are_compared_at_one_budget() -> None:
    table = tables_arms.objectives(made.sweep(), "gpt-4o", "miracl", "nDCG@10")
    assert table is not None
    assert table.columns == ("Objective", "τ", *made.LANGUAGES, "steps")
    assert {row[-1].text for row in table.rows} == {"500", ""}
    assert find(table, "bixse", "1")["fi"].value == pytest.approx(made.value("fi", "fi", 1, 150_000) + 0.01)
    assert find(table, "base", "")["fi"].value == made.base("fi", "fi")
    assert tables_arms.objectives(made.figure5(), "gpt-4o", "miracl", "nDCG@10") is None


def test_mined_negatives_are_in_mrr() -> None:
    table = tables_arms.mined(made.sweep(), "gpt-4o", "miracl")
    assert (
        [row[0].text for row in table.rows if table] == ["0%", "25%", "50%", "75%", "100%", "base"] if table else False
    )
    assert find(table, "50%")["en"].value == pytest.approx(0.6 + 0.0125 + 0.05)
    assert tables_arms.mined(made.figure5(), "gpt-4o", "miracl") is None


def test_a_tables_csv_is_tidy() -> None:
    table = tables_paper.mixtures(made.sweep(), "gpt-4o", "miracl", "nDCG@10")
    assert table is not None
    lines = tables.csv_rows(table)
    assert lines[0] == ("Target", "Added", "column", "value", "low", "high", "published", "published_in")
    found: dict[Any, Any] = {line[:3]: line[3:] for line in lines[1:]}
    assert found["ar", "fi", "τ = 2"][0].startswith("-6")
    assert found["ar", "fi", "τ = 2"][3:] == ("-24.3", "Table 1 (Section 5)")
    assert len(found) == 4 * 6 * 3
