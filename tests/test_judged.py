"""Grades by rule, and the table of a sweep on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analysis import made
from tests.judged import Judge, articles
from tests.real_table import table

PASSAGES = {
    "a1": "The river Volga flows into the Caspian Sea near Astrakhan.",
    "a2": "Near Astrakhan the river Volga has a wide delta.",
    "a3": "Sturgeon are caught there in spring.",
    "b1": "The river Volga was painted by Ilya Repin.",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"_id": name, "title": "", "text": text} for name, text in PASSAGES.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    asked = [{"_id": "q1", "text": "Into which sea does the Volga flow?"}, {"_id": "q2", "text": "Who painted it?"}]
    asked += [{"_id": "q3", "text": "What does the river Volga do near Astrakhan?"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    (tmp_path / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", "q1\ta1\t3", "q1\ta2\t1", "q1\ta3\t1", "q2\tb1\t3", "q3\ta1\t3"]
    (tmp_path / "qrels" / "train.tsv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_a_grade_follows_article_and_words(folder: Path) -> None:
    judge = Judge(folder, "en")
    asked = "Into which sea does the Volga flow?"
    assert [judge.grade(asked, text) for text in PASSAGES.values()] == [3, 1, 1, 0]
    asked = "What does the river Volga do near Astrakhan?"
    assert [judge.grade(asked, text) for text in PASSAGES.values()] == [3, 2, 1, 0]
    assert judge.grade("Never asked?", PASSAGES["a1"]) == 0
    assert judge.questions[PASSAGES["b1"]] == ["Who painted it?"]


def test_passages_of_a_question_are_of_one_article() -> None:
    found = articles([("q1", "a"), ("q1", "b"), ("q2", "b"), ("q2", "c"), ("q3", "d")])
    assert found["a"] == found["b"] == found["c"] != found["d"]


def test_the_table_says_what_is_above_the_base() -> None:
    rows = [row | {"set": "xquad-fi"} for row in made.figure5((50_000,)) if row["target"] == "fi"]
    lines = table(rows).splitlines()
    assert lines[0] == "| nDCG@10 | graded pairs | base | tau 1 | tau 2 | tau 3 |"
    assert lines[2].startswith("| Finnish, 40 queries | 50,000 | 0.620 | ")
    assert lines[2].count("[") == 3
