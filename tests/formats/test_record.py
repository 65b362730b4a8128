"""A record that is not there or is cut off is one line that says what makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.errors import DataError, MissingError
from graded.formats.atomic import write_json
from graded.formats.record import read_record


def test_what_was_written_is_read_and_what_is_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    with pytest.raises(MissingError, match=r"no .*benchmark\.json here; 'dvc repro' makes it"):
        read_record(path)
    write_json(path, {"name": "ä"})
    assert read_record(path) == {"name": "ä"}
    path.write_text('{"name"')
    with pytest.raises(DataError, match=r"is not JSON \(.*\); 'dvc repro -f benchmark' writes it again"):
        read_record(path)
