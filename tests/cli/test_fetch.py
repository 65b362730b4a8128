"""`graded fetch` from a folder that stands in for the host."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from graded.cli import app
from graded.errors import DataError
from graded.sources.pins import miracl_pins


def test_what_differs_from_the_pin_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("languages: [fi]\n")
    for pin in miracl_pins(["fi"], "dev", "topics"):
        path = Path("mirror") / pin.path
        path.parent.mkdir(parents=True)
        path.write_text("1\tQ0\td\t1\n")
    command = ["fetch", "miracl", "--part", "topics", "--to", "out", "--mirror", "mirror"]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, DataError)
    assert "pinned" in str(done.exception)
    assert not [path for path in Path("out").rglob("*") if path.is_file()]
