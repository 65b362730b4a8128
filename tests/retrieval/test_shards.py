"""Units of work: rows of a file, and names from all that their content depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.formats import table
from graded.retrieval.shards import content_key, read_range, split_rows, texts_key


def test_keys_tell_contents_apart() -> None:
    assert content_key("a", 1) != content_key("a", "1")
    assert texts_key(["ab", "c"]) != texts_key(["a", "bc"])
    assert texts_key(["ä"]) == texts_key(["ä"])


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_units_hold_each_row_once(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "GROUP", 30)  # several row groups
    path = tmp_path / "corpus.parquet"
    table.write_rows(path, table.PASSAGES, ((f"d{number}", "", f"text {number}") for number in range(110)))
    units = split_rows(path, size)
    assert [unit.start for unit in units] == list(range(0, 110, size))
    batches = [batch for unit in units for batch in read_range(unit, ["doc_id"], 16)]
    assert [name for batch in batches for name in batch.column("doc_id").to_pylist()] == [
        f"d{number}" for number in range(110)
    ]
    assert max(batch.num_rows for batch in batches) <= 16
