"""`graded profile`: the difference is shown first, comments stay, a second time changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded import params
from graded.cli.profile import changed, line, overlay, profile
from graded.errors import ParamError
from graded.formats import yaml12
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


def test_the_difference_shows_each_value_whole_within_100_columns() -> None:
    after = {"tau": 2, "pair": {"size": 5, "new": "x" * 300}, "long": "y" * 300}
    found = {key: (old, new) for key, old, new in changed({"tau": 2, "pair": {"size": None}, "long": "z" * 90}, after)}
    assert set(found) == {"pair.size", "pair.new", "long"}
    assert line("pair.size", *found["pair.size"]).split() == ["pair.size", "null", "->", "5"]
    assert line("pair.new", *found["pair.new"]).split()[:3] == ["pair.new", "(not", "set)"]
    shown = [line(key, *values) for key, values in found.items()]
    assert all(len(part) <= 100 for text in shown for part in text.splitlines())
    assert ("".join(shown).count("x"), "".join(shown).count("y")) == (300, 300)
    settings = {"model": "gpt-4o-mini-2024-07-18", "family": "openai", "temperature": 0.0, "max_tokens": 8}
    text = line("grade.annotators", {"sample-a": settings, "sample-b": settings}, {"gpt-4o-mini": settings})
    assert text.count("temperature") == 3
    assert "..." not in text


def test_without_a_name_the_profiles_are_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    profile()
    said = capsys.readouterr().out
    assert [text.split()[0] for text in said.splitlines() if text[0] != " "] == sorted(
        path.stem for path in (root / "profiles").glob("*.yaml")
    )
    assert "MIRACL" in said
    assert max(map(len, said.splitlines())) <= 100


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


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_profile_names_no_folder_outside_of_the_repository(path: Path) -> None:
    after = yaml12.loads(overlay((ROOT / "params.yaml").read_text(encoding="utf-8"), path.read_text(encoding="utf-8")))
    for section in ("corpus", "benchmark"):
        folder = Path(after[section]["path"])
        assert not folder.is_absolute()
        assert ".." not in folder.parts
