"""Several selects into one Parquet file."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from graded.formats import table


def test_one_after_another_in_even_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "GROUP", 1000)
    selects = [f"SELECT '{name}' AS lang, i FROM range({size}) t(i) ORDER BY i DESC" for name, size in
               (("fi", 2500), ("ar", 0), ("en", 700))]  # fmt: skip
    with table.connect() as connection:
        assert table.copy_queries(connection, selects, tmp_path / "one.parquet") == 3200
        table.copy_queries(connection, selects, tmp_path / "two.parquet")
    rows = list(table.read_rows(tmp_path / "one.parquet"))
    assert rows == [("fi", i) for i in range(2499, -1, -1)] + [("en", i) for i in range(699, -1, -1)]
    metadata = pq.ParquetFile(tmp_path / "one.parquet").metadata
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [1000, 1000, 500, 700]
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_nothing_is_left_of_a_failed_query(tmp_path: Path) -> None:
    with table.connect() as connection, pytest.raises(Exception, match="nowhere"):
        table.copy_queries(connection, ["SELECT 1 AS a", "SELECT a FROM nowhere"], tmp_path / "one.parquet")
    assert not list(tmp_path.iterdir())
