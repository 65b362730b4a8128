"""A folder that DVC needs to end an experiment is looked for before anything is queued."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from graded.errors import MissingError
from graded.experiments import outs, sweep


def test_a_plots_folder_that_is_not_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outs._cache.cache_clear()
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["dvc", "init", "--quiet"], check=True)
    sweep.refuse_absent_plots()
    Path("dvc.yaml").write_text("stages: {report: {cmd: x, outs: [report]}}\nplots: [report/plots]\n")
    sweep.refuse_absent_plots()
    digest = "75e9ed8499e72652041e6d1b602ca321.dir"
    Path("dvc.lock").write_text(f"stages: {{report: {{cmd: x, outs: [{{path: report, md5: {digest}}}]}}}}\n")
    with pytest.raises(MissingError, match="'dvc repro report' makes it, 'dvc pull report' fetches it"):
        sweep.refuse_absent_plots()
    object_ = Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]
    object_.parent.mkdir(parents=True)
    object_.write_text("[]")
    sweep.refuse_absent_plots()
    outs._cache.cache_clear()
