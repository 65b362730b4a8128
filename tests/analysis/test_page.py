"""The page as text: what is escaped and how, what was measured, what is sampled."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from graded.analysis.page import build, sections, sweeps
from graded.analysis.page.blocks import Browser, Column, Data, Fact, Facts, Section, Text, reference
from graded.analysis.page.examples import sample
from graded.analysis.page.measured import by_arm, measured
from graded.errors import MissingError
from tests.run import write_run

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u2028\u202e{{ 7*7 }}"


def test_every_text_is_escaped() -> None:
    row = {"lang": "fi", "query": EVIL, "passage": EVIL, "grades": [1], "outcomes": ["ok"], "positive": None}
    page = build.html(
        EVIL,
        EVIL,
        [
            Section("a", EVIL, (Facts((Fact(EVIL, EVIL, EVIL),)), Text(EVIL, EVIL))),
            Section("b", "t", (Data("d", EVIL, (Column(EVIL),), ((EVIL,), (("1", 1.0),)), EVIL),)),
            Section("c", "t", (Browser((row,), (EVIL,), (EVIL,), EVIL),)),
        ],
        EVIL,
    )
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page
    assert "49" not in page.split("</style>")[1].split("<script")[0]
    block = re.search(r"<script type=\"application/json\" data-examples>(.*?)</script>", page, re.DOTALL)
    assert block is not None
    assert json.loads(block[1])["rows"][0]["passage"] == EVIL
    assert not set("<>&\u2028") & set(block[1])


def test_the_policy_allows_its_own_script_and_nothing_else() -> None:
    page = build.html("t", "l", [], "c")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe-inline" not in policy[1].split("script-src")[1]
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_measured_rows_have_intervals_and_the_recorded_difference() -> None:
    values = by_arm(
        [("s", "fi", "fi", system, "nDCG@10", value) for system in ("tuned", "base") for value in (0.2, 0.4, 0.9)]
        + [("s", "fi", "ar", "tuned", "nDCG@10", 0.5)]
    )
    gap = {"mean": 0.1, "low": 0.05, "high": 0.15, "p": 0.01, "p_holm": 0.02}
    rows = measured({"s": {"fi": {"difference": {"nDCG@10": gap}}}}, values)
    tuned, base, cross = rows
    assert (tuned["value"], tuned["queries"], tuned["p_holm"]) == (pytest.approx(0.5), 3, 0.02)
    assert tuned["low"] < 0.5 < tuned["high"]
    assert (base["difference"], cross["low"], cross["difference"]) == (None, None, None)


def test_the_lead_says_how_sure_it_is() -> None:
    def two(lang: str, gap: float, p: float) -> list[dict[str, object]]:
        shared = {"set": "s", "metric": "nDCG@10", "query_lang": lang, "doc_lang": lang, "difference": gap, "p_holm": p}
        return [shared | {"system": "tuned", "value": 0.5 + gap}, shared | {"system": "base", "value": 0.5}]

    rows = two("fi", 0.1, 0.01) + two("ar", -0.06, 0.03) + two("en", 0.02, 0.6)
    assert sections.lead(rows, "s", "nDCG@10", "2") == (
        "Fine-tuning at τ = 2 took nDCG@10 on s from 0.500 to 0.520 on average over 3 languages (+0.020); "
        "the change is more than noise in 2 (better in 1 and worse in 1)."
    )
    assert sections.lead(two("fi", 0.1, 0.2), "s", "nDCG@10", "2").endswith(
        "in Finnish (+0.100); the change is more than noise in none."
    )


def test_published_systems_stand_beside_miracl_alone() -> None:
    row = {"set": "miracl", "metric": "nDCG@10", "query_lang": "fi", "doc_lang": "fi", "system": "tuned", "value": 0.7}
    table = reference([row], "miracl", "nDCG@10")
    assert table is not None
    assert table.rows[0] == ("tuned", ("0.7", 0.7), "this run")
    assert ("BM25", ("0.5513", 0.5513), "published: Pyserini reproduction matrix") in table.rows
    assert reference([row | {"set": "sample"}], "sample", "nDCG@10") is None


def test_what_was_not_run_has_its_command() -> None:
    found, absent = sweeps.sections([], [], [])
    assert found == []
    block = absent[0].blocks[0]
    assert isinstance(block, Text)
    assert all(f"graded sweep {name}" in block.command for name in ("figure5", "table1", "figure7", "objectives"))
    assert "graded report --results" in block.command


def test_examples_are_spread_over_grades_and_languages(tmp_path: Path) -> None:
    write_run(tmp_path, languages=("fi", "ar"), pairs=400)
    rows, total = sample(tmp_path / "data", ["fi", "ar"], ["a", "b"], count=60, characters=50, seed=1)
    assert (len(rows), total) == (60, 800)
    assert [row["lang"] for row in rows[:4]] == ["fi", "ar", "fi", "ar"]
    grades = {tuple(row["grades"]) for row in rows if row["lang"] == "fi"}
    assert len(grades) >= 20
    assert {grade for pair in grades for grade in pair} == {0, 1, 2, 3, None}
    assert all(len(row["passage"]) <= 50 for row in rows)
    assert {row["positive"] for row in rows} == {True, False, None}
    assert all(row["outcomes"][at] == "refused" for row in rows for at in (0, 1) if row["grades"][at] is None)
    again, _ = sample(tmp_path / "data", ["fi", "ar"], ["a", "b"], count=60, characters=50, seed=1)
    assert again == rows


def test_few_examples_are_all_there_and_one_annotator_is_enough(tmp_path: Path) -> None:
    write_run(tmp_path, languages=("ja",), annotators=("a",), pairs=20)
    rows, total = sample(tmp_path / "data", ["ja"], ["a"], count=500, characters=700, seed=1)
    assert len(rows) == total == 20
    assert {len(row["grades"]) for row in rows} == {1}
    with pytest.raises(MissingError, match=r"no .*fi\.parquet"):
        sample(tmp_path / "data", ["fi"], ["a"], count=5, characters=5, seed=1)


def test_a_null_mean_of_agreement_is_no_number() -> None:
    nothing = {"value": None, "low": None, "high": None}
    part = {"pairs": 0, "kappa": nothing, "AC2": nothing, "exact": None, "within_one": None, "lean": None}
    counts = {str(grade): 0 for grade in range(4)} | {"refused": 3}
    agree = {"fi": {"a": counts, "b": counts, "a | b": part | {"confusion": np.zeros((4, 4), dtype=int).tolist()}}}
    section = sections.agreement(agree)
    table = section.blocks[-1]
    assert isinstance(table, Data)
    assert table.rows[0][3:] == ("", "", "", "", "")
    assert {row["grade"] for row in sections.grade_counts(agree)} == {0, 1, 2, 3, None}
