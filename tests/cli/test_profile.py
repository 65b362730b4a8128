"""`graded profile`: the difference is shown first, comments stay, a second time changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded import params
from graded.cli.profile import overlay, profile
from graded.errors import ParamError
from tests.closure import ROOT, load

STAGES = tuple(load()["stages"])

BASE = """\
# the threshold
tau: 2
pair:
  size: null   # all
  target: all
benchmark:
  sets:
    sample: {split: test}
"""


def test_values_are_laid_over_and_comments_stay() -> None:
    after = overlay(BASE, "tau: {default: 2, fi: 1}\npair: {size: 5}\nbenchmark: {sets: {other: {split: dev}}}\n")
    assert "# the threshold" in after
    assert "# all" in after
    assert "size: 5" in after
    assert "target: all" in after
    assert "sample" not in after


def test_nothing_is_written_without_a_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("profiles").mkdir()
    Path("profiles/mine.yaml").write_text("tau: 3\n", encoding="utf-8")
    Path("params.yaml").write_text(BASE, encoding="utf-8")
    with pytest.raises(ParamError, match="graded profile mine --yes"):
        profile("mine")
    assert Path("params.yaml").read_text(encoding="utf-8") == BASE
    profile("mine", yes=True)
    assert "tau: 3" in Path("params.yaml").read_text(encoding="utf-8")
    profile("mine")
    with pytest.raises(ParamError, match=r"received 'nine'.*did you mean 'mine'"):
        profile("nine")


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_is_legal(path: Path, tmp_path: Path) -> None:
    after = overlay((ROOT / "params.yaml").read_text(encoding="utf-8"), path.read_text(encoding="utf-8"))
    (tmp_path / "params.yaml").write_text(after, encoding="utf-8")
    for stage in STAGES:
        module = __import__(f"graded.stages.{stage}", fromlist=["Params"])
        params.section(stage, module.Params, tmp_path / "params.yaml")
