"""Where a command is called, and whether data/sample is what params.yaml asks for: one line that says what to type."""

from __future__ import annotations

import shutil
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from graded.cli import app, here
from graded.cli.profile import overlay
from graded.errors import DataError, MissingError
from graded.formats import table
from tests.closure import ROOT, load


@pytest.fixture
def clone(here: Path) -> Path:
    """A repository's files, a dvc.lock as if every stage had just run, and the working directory."""
    for name in ("params.yaml", "dvc.yaml", "prices.yaml"):
        shutil.copy2(ROOT / name, here / name)
    shutil.copytree(ROOT / "prompts", here / "prompts")
    values, stages = yaml.safe_load((here / "params.yaml").read_text("utf-8")), load()["stages"]
    ran = {name: {"params": {"params.yaml": tracked(values, one["params"])}} for name, one in stages.items()
           if "params" in one}  # fmt: skip
    (here / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": ran}), encoding="utf-8")
    (here / "sample/texts").mkdir(parents=True)
    return here


def tracked(values: Any, keys: list[str]) -> dict[str, Any]:
    """Return what DVC records of params: each dotted key with its value."""
    return {key: reduce(dict.__getitem__, key.split("."), values) for key in keys}


def lay(over: str) -> None:
    """Lay YAML over params.yaml."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(overlay(text, over), encoding="utf-8")


def estimate() -> str:
    """Return the one error of `graded estimate`, which has printed nothing."""
    done = CliRunner().invoke(app, ["estimate"])
    assert isinstance(done.exception, MissingError)
    assert done.output == ""
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_another_corpus_is_not_priced_by_the_sample_that_is_here(clone: Path) -> None:
    lay((ROOT / "profiles/paper.yaml").read_text(encoding="utf-8"))
    said = estimate()
    assert "data/sample is of other params (languages" not in said  # both have the same six
    assert "data/sample is of other params (corpus." in said
    assert "graded fetch miracl --part corpus --to data/source/miracl-corpus; then dvc repro sample" in said
    (clone / "data/source/miracl-corpus").mkdir(parents=True)
    assert "--part topics --split dev --to data/source/benchmark/miracl; then dvc repro sample" in estimate()
    (clone / "data/source/benchmark/miracl").mkdir(parents=True)
    assert "graded fetch clirmatrix --split test1 --to data/source/benchmark/clirmatrix" in estimate()
    (clone / "data/source/benchmark/clirmatrix").mkdir(parents=True)
    assert estimate().endswith("run first: dvc repro sample")


@pytest.mark.parametrize(
    ("over", "named"),
    [
        ("sample: {size: 20}", "sample.size"),
        ("seed: 14", "seed"),
        ("languages: [fi]", "languages"),
        ("benchmark: {sets: {other: {split: test}}}", "benchmark.sets"),
    ],
)
def test_each_param_of_the_sample_is_noticed(clone: Path, over: str, named: str) -> None:
    lay(over)
    assert f"({named})" in estimate()


def test_what_changes_only_how_a_stage_works_is_no_other_sample(clone: Path) -> None:
    lay("sample: {memory_gb: 9}\nquery: {mode: batch}\ngrade: {mode: batch}\n")
    assert here.differing(("corpus", "benchmark", "sample", "query", "grade"), clone) == []
    assert "data/sample/fi.parquet" in estimate()


BROKEN = {
    "": "dvc.lock is empty",
    "stages: [": "dvc.lock is half-written",
    "stages: {sample: 3}": "dvc.lock is half-written",
    "[]": "dvc.lock is half-written",
    "stages:\n<<<<<<< HEAD\n  a: {}\n=======\n  b: {}\n>>>>>>> theirs\n": "dvc.lock holds the marks of a merge",
}


@pytest.mark.parametrize("text", BROKEN, ids=["empty", "half", "number", "list", "merge"])
def test_a_broken_lock_is_named_before_anything_is_priced(clone: Path, text: str) -> None:
    sampled()
    (clone / "dvc.lock").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["estimate"])
    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith(BROKEN[text])
    mend = "git checkout --ours dvc.lock" if "<<<" in text else "rm dvc.lock"  # it is in no commit here
    assert str(done.exception).endswith(f"run: {mend}; dvc repro")
    assert done.output == ""


@pytest.mark.parametrize("command", ["review HEAD", "sweep figure5 --dry", "calibrate"])
def test_a_broken_lock_is_named_by_what_would_run_dvc(clone: Path, command: str) -> None:
    (clone / "dvc.lock").write_text("", encoding="utf-8")
    done = CliRunner().invoke(app, command.split())
    assert isinstance(done.exception, DataError)
    assert "dvc.lock is empty" in str(done.exception)
    assert done.output == ""


def test_a_sample_that_the_lock_says_nothing_of_is_priced_with_a_note(clone: Path) -> None:
    sampled()
    assert "note:" not in priced()
    lay("sample: {size: 20}")
    known = yaml.safe_load((clone / "dvc.lock").read_text(encoding="utf-8"))
    del known["stages"]["sample"]
    (clone / "dvc.lock").write_text(yaml.safe_dump(known), encoding="utf-8")
    note = "note: whether data/sample fits params.yaml is not known ({}): dvc repro sample"
    assert priced().splitlines()[-1] == note.format("no sample in dvc.lock")
    (clone / "dvc.lock").unlink()
    assert priced().splitlines()[-1] == note.format("no dvc.lock")
    shutil.rmtree("data/sample")
    assert "data/sample/fi.parquet" in estimate()


def sampled() -> None:
    """Write a passage a language into data/sample."""
    for lang in yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["languages"]:
        table.write_rows(Path(f"data/sample/{lang}.parquet"), table.PASSAGES, [("p", "", "text")])


def priced() -> str:
    """Return what `graded estimate` prints where it can."""
    done = CliRunner().invoke(app, ["estimate"])
    assert done.exit_code == 0, done.exception
    assert "replies to buy" in done.output
    assert max(map(len, done.output.splitlines())) <= 100
    return done.output


@pytest.mark.parametrize(
    "command",
    ["review main", "compare HEAD main", "scale", "push-model team/model --dry-run", "estimate", "ledger status",
     "batches", "results", "summary", "sweep figure5"],
)  # fmt: skip
def test_outside_a_repository_a_command_says_that_it_needs_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, command.split())
    assert isinstance(done.exception, MissingError)
    assert f"{command.split()[0]}: run this inside a graded repository" in str(done.exception)
    assert done.output == ""


def test_a_subfolder_and_a_lost_file_have_commands_of_their_own(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.away(clone) is None
    monkeypatch.chdir(clone / "sample/texts")
    below = here.away(Path())
    assert below is not None
    assert below.command == "cd ../.."
    with pytest.raises(MissingError, match=r"cd \.\./\.\."):
        here.repository("scale")
    (clone / "params.yaml").unlink()
    lost = here.away(clone)
    assert lost is not None
    assert lost.command == "git checkout params.yaml"
