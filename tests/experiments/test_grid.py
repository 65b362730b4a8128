"""Sweeps expand to the experiments that they name, and `-S` sets what a point says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from graded import params
from graded.cli.profile import overlay
from graded.cli.sweep import check, share
from graded.errors import MissingError, ParamError
from graded.experiments import grid
from graded.experiments.plan import resolve
from tests.conftest import ROOT

PAPER = "profiles/paper.yaml"
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))


def form(*grids: dict[str, Any], **fixed: Any) -> grid.Form:
    return grid.Form(set=fixed, grids=list(grids))


def test_grids_are_products_and_their_union() -> None:
    points = grid.expand("mine", form({"tau": [1, 2], "pair.size": [5, 10]}, {"tau": 3, "pair.size": 5}))
    assert [point.name for point in points] == [
        "mine-tau1-size5",
        "mine-tau1-size10",
        "mine-tau2-size5",
        "mine-tau2-size10",
        "mine-tau3-size5",
    ]
    assert points[1].values == {"tau": 1, "pair.size": 10}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"pair.target": "fi", "tau": 1, "pair.size": 50000}, "s-fi-tau1-size50000"),
        ({"tau": {"default": 2, "fi": 1.5}}, "s-tau-default2-fi1.5"),
        ({"pair.target": "fi", "pair.extra.language": "en", "tau": 1}, "s-fi-plus-en-tau1"),
        ({"train.negatives.share_mined": 0.5}, "s-mined0.5"),
        ({"train.objective": "bixse", "pair.size": None}, "s-bixse"),
        ({"languages": ["fi", "ar"]}, "s-languages-fi-ar"),
        ({"annotator": "../../etc"}, "s-etc"),
    ],
)
def test_names_tell_what_is_set_and_are_git_names(values: dict[str, Any], name: str) -> None:
    assert grid.expand("s", form({key: [value] for key, value in values.items()}))[0].name == name


def test_the_same_values_twice_are_one_experiment() -> None:
    assert len(grid.expand("s", form({"tau": [1, 2]}, {"tau": [2, 3]}))) == 3


def test_other_values_are_other_experiments_whatever_their_names() -> None:
    points = grid.expand("s", form({"seed": [1, 2], "train.seed": [1, 2], "train.learning_rate": [2e-5, 2.0000001e-5]}))
    assert len({point.name for point in points}) == len(points) == 8
    assert points[0].name.startswith("s-seed1-train-seed1-learning_rate2e-05-")
    assert len(grid.expand("s", form({"tau": [1, 1.0]}))) == 1


def test_hosts_share_a_sweep_and_leave_nothing_out() -> None:
    points = grid.expand("mine", form({"tau": [1, 2, 3], "pair.size": [5, 10, 20]}))
    parts = [share(points, f"{number}/4") for number in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [3, 2, 2, 2]
    assert sorted(point.name for part in parts for point in part) == sorted(point.name for point in points)
    assert share(points, "1/1") == points
    for wrong in ("0/4", "5/4", "3", "a/b", "1/0", "-1/2", ""):
        with pytest.raises(ParamError, match=f"--part: received '{wrong}'; expected K/N"):
            share(points, wrong)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ParamError, match="tau has no value"):
        grid.expand("s", form({"tau": []}))


@pytest.mark.parametrize(
    "values",
    [
        {"tau": 2.5},
        {"tau": {"default": 2, "fi": 1}},
        {"tau": {"default": 1, "no": 3}},
        {"languages": ["fi", "no"]},
        {"pair.size": 5, "pair.target": "no", "pair.extra.language": None},
        {"evaluate.metrics": ["nDCG@10"]},
        {"encoder.query_prefix": "query: "},
        {"encoder.name": "it's a 'name' \\ with: {signs}, 1"},
        {"train.seed": 7, "new.key": True},
    ],
)
@pytest.mark.parametrize("tau", [1, {"default": 1, "ar": 3}])
def test_overrides_set_just_what_they_say(
    values: dict[str, Any], tau: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(params, "SHARED", (*params.SHARED, "new"))
    before = {"tau": tau, "languages": ["fi", "ar"], "pair": {"size": None}, "encoder": {"name": "x"}}
    Path("params.yaml").write_text(yaml.safe_dump(before), encoding="utf-8")
    after = resolve([grid.Point("p", values)])["p"]
    for key, value in values.items():
        found: Any = after
        for part in key.split("."):
            found = found[part]
        assert found == value
    assert after["encoder"]["name"] == values.get("encoder.name", "x")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "table1" else [pytest.mark.slow]) for name in SWEEPS]
)
def test_every_shipped_sweep_is_legal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full values too, on the paper's profile: each stage takes each point."""
    monkeypatch.chdir(ROOT)
    _, sweep = grid.load(name)
    assert {"full", "sample"} <= set(sweep.form)
    texts = {path: Path(path).read_text(encoding="utf-8") for path in ("params.yaml", "dvc.yaml", PAPER)}
    paper = overlay(texts["params.yaml"], texts[PAPER])
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(texts["dvc.yaml"], encoding="utf-8")
    for kind, one in sweep.form.items():
        Path("params.yaml").write_text(paper if kind == "full" else texts["params.yaml"], encoding="utf-8")
        points = grid.expand(name, one)
        assert len({point.name for point in points}) == len(points) > 1
        resolve(points[:: max(1, len(points) // 4)], check)
        if kind == "sample":
            assert len(points) <= 16


def test_six_sweeps_are_shipped() -> None:
    assert SWEEPS == ["figure5", "figure6", "figure7", "hard-negatives", "objectives", "table1"]


def test_full_figure5_is_the_papers_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    points = grid.expand("figure5", grid.load("figure5")[1].form["full"])
    assert len(points) == 6 * 3 * 6
    assert {point.values["pair.size"] for point in points} == set(range(50_000, 300_001, 50_000))


def test_a_value_no_stage_takes_names_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ParamError, match=r"^bad: params.yaml: train\.objective"):
        resolve([grid.Point("bad", {"train.objective": "infonse"})], check)
    with pytest.raises(ParamError, match=r"no stage reads train\.negatives\.shared_mined.*did you mean 'share_mined'"):
        resolve([grid.Point("bad", {"train.negatives.shared_mined": 0.5})], check)
    with pytest.raises(ParamError, match=r"^bad: evaluate\.metrics: nDCG@100 looks 100 deep, and retrieve\.k:"):
        resolve([grid.Point("bad", {"retrieve.k": 50})], check)
    with pytest.raises(ParamError, match=r"^bad: annotator: received 'gpt-4o'"):
        resolve([grid.Point("bad", {"annotator": "gpt-4o"})], check)


def test_no_such_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(MissingError, match=r"received 'figure55' \(did you mean 'figure5'\?\)"):
        grid.load("figure55")
    path = tmp_path / "own.yaml"
    path.write_text("title: t\nforms: {}\n", encoding="utf-8")
    with pytest.raises(ParamError, match=r"own\.forms|own\.form is missing"):
        grid.load(str(path))
