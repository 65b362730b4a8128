"""The figure of a calibration holds what was found, and says of each tau what is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest

from graded.analysis import figures_draw
from graded.analysis.figures import panel_spec
from graded.analysis.figures_calibrate import calibration

pytestmark = pytest.mark.xdist_group("vega")


def row(lang: str, tau: str, behind: float, shown: str, **more: Any) -> dict[str, Any]:
    ends = {"behind_low": behind - 0.02 if behind else 0.0, "behind_high": behind + 0.02 if behind else 0.0}
    plain = {"target": "all", "extra": None, "language": lang, "tau": tau, "size": 300, "queries": 16, "score": 0.5}
    return plain | {"behind": behind, **ends, "leads": 0.4, "shown": shown, "base": 0.45} | more


def test_a_panel_a_language_with_every_interval_and_verdict() -> None:
    rows = [
        row("fi", "1", 0.0, "leads"),
        row("fi", "2", 0.01, "no difference shown"),
        row("fi", "3", 0.05, "shown worse", size=75),
        row("ar", "1", 0.0, "best shown"),
        row("ar", "2", 0.06, "shown worse"),
    ]
    figure = calibration(rows, "nDCG@10", 0.95)
    assert [panel.title for panel in figure.panels] == [
        "Finnish: 0.5000 at τ 1, base 0.4500",
        "Arabic: 0.5000 at τ 1, base 0.4500",
    ]
    assert {key.label for key in figure.legend} == {"best shown", "leads", "no difference shown", "shown worse"}
    svg = figures_draw.svg(panel_spec(figure.panels[0]))
    said = set(re.findall(r'aria-label="(τ[^"]*)"', svg))
    assert "τ 3: nDCG@10 0.5000, -0.0500 [-0.0700, -0.0300] from the leader at 75 pairs; shown worse" in said
    assert any(text.startswith("τ 1: nDCG@10 0.5000, +0.0000") for text in said)
    assert "first in 40% of draws, 75 pairs" in svg


def test_an_arm_without_an_interval_has_none_and_says_so() -> None:
    rows = [
        row("fi", "1", 0.0, "leads"),
        row("fi", "2", 0.02, "no difference shown", behind_low=None, behind_high=None),
    ]
    svg = figures_draw.svg(panel_spec(calibration(rows, "nDCG@10", 0.95).panels[0]))
    assert "τ 2: nDCG@10 0.5000, -0.0200 (no interval) from the leader" in svg
    assert "300 pairs, no interval" in svg


def test_a_mixture_names_the_tau_of_both_languages() -> None:
    more = {"target": "fi", "extra": "en"}
    rows = [row("fi", "fi=1,en=3", 0.0, "leads", **more), row("fi", "fi=2,en=3", 0.01, "no difference shown", **more)]
    figure = calibration(rows, "nDCG@10", 0.9)
    assert [panel.title for panel in figure.panels] == ["Finnish with English: 0.5000 at τ fi 1, en 3, base 0.4500"]
    assert "90% intervals" in figure.caption
