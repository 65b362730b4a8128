"""dvc.yaml is the map: its deps are what the stages import, and one word a stage is kept everywhere."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from graded.params import SECTIONS, SHARED
from tests import closure

STAGES: dict[str, Any] = closure.load()["stages"]
ROOT = closure.ROOT


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_import_closure(stage: str) -> None:
    deps = [str(dep) for dep in closure.body(STAGES[stage])["deps"] if str(dep).startswith("src/")]
    assert deps == closure.closure(stage), "run: python -m tests.closure --write"


def test_the_closure_follows_late_imports_and_skips_typing_ones(tmp_path: Path) -> None:
    file = tmp_path / "stage.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nfrom graded.formats import table\n"
        "if TYPE_CHECKING:\n    from graded import console\n"
        "def main():\n    import graded.analysis.tau\n",
        encoding="utf-8",
    )
    found = {path.relative_to(closure.SOURCE).as_posix() for path in closure.imports(file)}
    assert found == {"graded/formats/table.py", "graded/analysis/tau.py"}


def test_the_closure_has_the_data_files_that_a_module_names() -> None:
    found = closure.closure("report")
    page = {f"src/graded/analysis/page/page.{kind}" for kind in ("html", "css", "js")}
    assert {"src/graded/analysis/published.json", *page} <= set(found)


@pytest.mark.parametrize("stage", STAGES)
def test_one_word_a_stage(stage: str) -> None:
    one = closure.body(STAGES[stage])
    assert (ROOT / "src/graded/stages" / f"{stage}.py").is_file()
    assert (ROOT / "tests/stages" / f"test_{stage}.py").is_file()
    assert f"-m graded.stages.{stage}" in one["cmd"]
    assert stage in yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert any(str(name).split(".")[0] == stage for name in one["params"])
    outs = [str(out) for out in one.get("outs", []) if not isinstance(out, dict)]  # a mapping is a file kept in git
    words = {"train": ("model", "train"), "retrieve": ("run",)}.get(stage, (stage,))
    legal = {("report",)} | {("data", name) for word in words for name in (word, f"{word}.parquet")}
    assert {Path(out).parts[:2] for out in outs} <= legal


def test_no_stage_file_is_missing_from_the_map() -> None:
    files = {path.stem for path in (ROOT / "src/graded/stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)
    assert tuple(STAGES) == SECTIONS


@pytest.mark.parametrize("stage", STAGES)
def test_params_of_the_map_are_those_the_stage_reads(stage: str) -> None:
    """Every shared value that a stage reads stands in its params list, and the other way round."""
    listed = {str(name).split(".")[0] for name in closure.body(STAGES[stage])["params"]} - {stage}
    tree = ast.parse((ROOT / "src/graded/stages" / f"{stage}.py").read_text(encoding="utf-8"))
    read = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            if owner == "params" and node.func.attr in ("languages", "seed"):
                read.add(node.func.attr)
            if owner == "params" and node.func.attr == "load":
                read.update(SHARED)
            if owner == "params" and node.func.attr == "shared":
                read.add(ast.literal_eval(node.args[0]))
    assert read == listed


@pytest.mark.parametrize("stage", STAGES)
def test_params_of_the_own_section_are_all_seen_by_dvc(stage: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    listed = [str(name) for name in closure.body(STAGES[stage])["params"] if str(name).split(".")[0] == stage]
    assert listed == closure.own_params(stage, values[stage]), "run: python -m tests.closure --write"


@pytest.mark.parametrize("stage", ["sample", "pair"])
def test_another_size_is_another_run_to_dvc(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    listed = [str(name) for name in closure.body(STAGES[stage])["params"]]
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    copy = {"cmd": "cp params.yaml out", "deps": ["dep"], "params": listed, "outs": ["out"]}
    monkeypatch.chdir(tmp_path)
    Path("dep").write_text("x", encoding="utf-8")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {stage: copy}}), encoding="utf-8")
    with Repo.init(no_scm=True) as repo:
        for size in (200, 400, 200):
            values[stage]["size"] = size
            Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
            repo.reproduce()
            assert yaml.safe_load(Path("out").read_text(encoding="utf-8"))[stage]["size"] == size


def test_params_yaml_has_no_key_that_no_stage_reads() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(values) == {*SECTIONS, *SHARED}
    for name in SECTIONS:
        module = __import__(f"graded.stages.{name}", fromlist=["Params"])
        module.Params.model_validate(values[name])
