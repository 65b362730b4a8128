"""The pipeline on real texts, small: two languages of ../shared/data, the stand-in as the annotator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.real
@pytest.mark.slow
def test_two_languages_run_to_their_metrics(real: Path, root: Path, tmp_path: Path) -> None:
    small = ["--languages", "ru", "en", "--passages", "24", "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.real", *small], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    record = json.loads((tmp_path / "graded" / "metrics" / "evaluate.json").read_text(encoding="utf-8"))
    assert set(record) == {"xquad", "xquad-dev"}
    assert {"ru", "en", "ru-en", "en-ru"} <= set(record["xquad"])
    for scores in (record["xquad"]["ru"], record["xquad"]["en"]):
        assert 0 < scores["base"]["nDCG@10"] < 1
        assert scores["nDCG@10"] != scores["base"]["nDCG@10"], "the tuned run is the base's"
    assert "nDCG@10" in done.stdout
