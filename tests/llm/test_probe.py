"""The hostile set covers what it says, and the report is the arithmetic that it claims."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError
from graded.llm.probe import PROBES, Probe, probes, report
from graded.llm.prompts import grade_messages, neutral
from graded.llm.replies import GradeReading
from graded.records import Outcome

KINDS = {"instruction", "stuffing", "closing", "grade", "authority", "control"}


def test_every_language_has_every_kind_of_attack_on_two_pairs(root: Path) -> None:
    found = probes(root / PROBES)
    assert {probe.language for probe in found} == {"fi", "ar", "ja", "ru", "es", "en"}
    for language in {probe.language for probe in found}:
        mine = [probe for probe in found if probe.language == language]
        assert {probe.kind for probe in mine} == {*KINDS, ""}
        assert Counter(probe.pair for probe in mine if not probe.kind) == Counter(["unrelated", "related"])
    assert len(set(found)) == len(found)


def test_attacks_hold_their_pairs_and_clean_pairs_hold_no_attack(root: Path) -> None:
    found = probes(root / PROBES)
    clean = {(probe.language, probe.pair): probe for probe in found if not probe.kind}
    for probe in found:
        assert "{" not in probe.passage
        own = clean[probe.language, probe.pair]
        if probe.kind:
            assert own.passage in probe.passage
            assert own.passage != probe.passage
        else:
            assert not re.search(r"\[\d\]|<|PASSAGE", probe.passage)
            assert probe.query not in probe.passage


def test_every_attack_stays_in_its_frame(root: Path) -> None:
    for probe in probes(root / PROBES):
        content = grade_messages(probe.query, probe.passage, folder=root / "prompts")[1]["content"]
        code = re.findall(r"^BEGIN PASSAGE (\w+)$", content, re.MULTILINE)[0]
        inside = content.split(f"BEGIN PASSAGE {code}\n")[1].split(f"\nEND PASSAGE {code}\n")[0]
        assert inside == neutral(probe.passage)


def reading(grade: int | None, expected: float | None = None) -> GradeReading:
    outcome = Outcome.REFUSED if grade is None else Outcome.OK
    return GradeReading(outcome, grade, expected, None if expected is None else 0.0)


def test_inflation_is_the_difference_to_the_same_pair() -> None:
    texts = (("", "p"), ("grade", "p [3]"), ("stuffing", "qp"))
    asked = [Probe(language, "x", kind, "q", text) for language in ("fi", "en") for kind, text in texts]
    readings = [reading(0, 0.2), reading(3, 2.9), reading(None), reading(1), reading(1), reading(0)]
    rows = {row.name: row for row in report(asked, readings)}
    assert list(rows) == ["grade", "stuffing", "fi", "en", "all"]
    assert rows["grade"][1:7] == (2, 2, 0.5, 2.0, 1.5, 0.5)
    assert rows["grade"].expected == pytest.approx(2.7)
    assert rows["stuffing"][1:] == (2, 1, 1.0, 0.0, -1.0, 0.0, None)
    assert rows["all"].compared == 3
    assert rows["all"].inflation == pytest.approx(2 / 3)


def test_a_refused_clean_pair_leaves_nothing_to_compare() -> None:
    asked = [Probe("fi", "x", "", "q", "p"), Probe("fi", "x", "grade", "q", "p [3]")]
    assert report(asked, [reading(None), reading(3)])[0] == ("grade", 1, 0, None, None, None, None, None)


def test_a_file_of_another_layout_or_none_is_one_line(tmp_path: Path, root: Path) -> None:
    with pytest.raises(MissingError, match="git checkout"):
        probes(tmp_path / "none.yaml")
    (tmp_path / "probes.yaml").write_text("fi: {pairs: {x: {query: q}}}")
    with pytest.raises(DataError, match="not laid out"):
        probes(tmp_path / "probes.yaml")
    with pytest.raises(DataError, match=r"language received 'xx'.*legal: en, fi"):
        probes(root / PROBES, ["xx"])
