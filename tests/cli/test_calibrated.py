"""What `graded calibrate` says of a race, from looks of known values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graded.analysis.calibrate import Look, judge
from graded.analysis.race import Result
from graded.analysis.simultaneous import Noise, compare
from graded.cli import calibrated
from graded.cli.calibrated import Found
from graded.experiments import calibration, plan


def look(size: int, values: dict[str, list[float]]) -> Look:
    found = {arm: np.array(one) for arm, one in values.items()}
    return judge(size, found, compare(found, seed=1, resamples=500))


def found(looks: list[Look], taus: list[float], *, extra: str | None = None, base: float = 0.3) -> Found:
    asked = calibration.question("fi", extra, ["fi", "en"], taus)
    result = Result({"fi": looks}, {"fi": Noise()}, 400)
    return Found(asked, 400, 200 if extra else None, result, 0.5, 60.0, {"fi": base})


@pytest.fixture
def spread() -> list[float]:
    return list(np.random.default_rng(1).uniform(0.3, 0.6, 40))


def test_arms_that_are_equal_and_arms_without_an_interval(
    spread: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    few = [spread[0] - 0.4, *spread[1:]]  # differs on one query: a bootstrap of that has no spread to speak of
    one = found([look(200, {"1": spread, "2": spread, "3": few})], [1, 2, 3])
    rows = {row["tau"]: row for row in calibrated.rows(one)}
    assert calibrated.behind(rows["1"]) == "-"
    assert calibrated.behind(rows["2"]) == "equal on every query"
    assert calibrated.behind(rows["3"]).endswith("(no interval)")
    calibrated.table(list(rows.values()), "nDCG@10", 0.95)
    assert "(no interval)" in capsys.readouterr().out
    assert (rows["3"]["behind_low"], rows["3"]["shown"]) == (None, "no difference shown")
    assert calibrated.sentences(one, "fi", "1", ("2", "3"))[0].startswith("fi: no difference shown; tau 1 leads in")


def test_a_smaller_tau_that_is_as_good_is_named(spread: list[float]) -> None:
    better = [value + 0.001 * (at % 3) for at, value in enumerate(spread)]
    one = found([look(200, {"1.5": spread, "2.5": better})], [1.5, 2.5], base=0.9)
    lines = calibrated.sentences(one, "fi", "2.5", ("1.5",))
    assert lines[1] == "  tau 1.5 keeps more positives and is not shown to be worse"
    assert "below the base encoder" in lines[2]
    assert calibrated.sentences(one, "fi", "2.5", ())[0] == "fi: tau 2.5 is shown to beat every other (at 200 pairs)"


def test_an_arm_that_a_third_one_beat_is_not_said_to_be_beaten_by_the_best(spread: list[float]) -> None:
    noise = np.random.default_rng(2).normal(0, 0.2, 40)
    up = [[value + step for value in spread] for step in (0.0, 0.1, 0.3)]
    unsure = [value + 0.05 + float(one) for value, one in zip(spread, noise - noise.mean(), strict=True)]
    looks = [look(50, {"1": unsure, "2": up[1], "3": up[0]}), look(200, {"1": up[2], "2": up[1]})]
    assert looks[0].out == ("3",)
    one = found(looks, [1, 2, 3])
    assert one.outcome.verdicts["fi"].open == ()
    assert calibrated.sentences(one, "fi", "1", ())[0] == (
        "fi: tau 1 is the last one left: shown to beat 2; 3 went out against another tau (at 200 pairs)"
    )


def test_the_line_to_use_sets_all_that_was_calibrated(
    spread: list[float], monkeypatch: pytest.MonkeyPatch, root: Any
) -> None:
    monkeypatch.chdir(root)
    arms = {"fi=1,en=1": spread, "fi=1,en=3": [value + 0.1 for value in spread]}
    line = calibrated.command(found([look(50, arms)], [1, 3], extra="en"))
    assert line == (
        "dvc exp run -S pair.target=fi -S pair.extra.language=en -S pair.extra.size=200"
        " -S 'tau={default:1,en:3}' -S pair.size=400"
    )


def test_a_mixture_of_params_yaml_that_nobody_asked_for_is_not_trained(
    spread: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "tau: 2\npair: {target: fi, size: null, extra: {language: en, size: 200}}\n"
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    one = found([look(50, {"1": spread, "3": spread})], [1, 3])
    point = calibration.point(one.asked, {"fi": "1"}, 50, (400, 200), None, None)
    assert plan.resolve([point])[point.name]["pair"]["extra"]["language"] is None
    assert "-S pair.extra.language=null" in calibrated.command(one)
    assert calibration.left_out(one.asked, {"pair": {"extra": {"language": "en"}}}) == "en"
    asked = calibration.question("fi", "en", ["fi", "en"], [1, 3])
    point = calibration.point(asked, {"fi": "fi=1,en=3"}, 50, (400, 200), None, None)
    assert plan.resolve([point])[point.name]["pair"]["extra"] == {"language": "en", "size": 25}
