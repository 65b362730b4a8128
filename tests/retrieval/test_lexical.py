"""BM25: its words, its formula, its order."""

from __future__ import annotations

import math

import pytest

from graded.retrieval.lexical import Bm25, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Helsingin yliopisto, 1640–2024!", ["helsingin", "yliopisto", "1640", "2024"]),
        ("東京タワーは333m", ["東京", "京タ", "タワ", "ワー", "ーは", "333m"]),
        ("水 と", ["水", "と"]),
        ("ﾃｽﾄ", ["テス", "スト"]),
        ("Ｆｕｌｌ snake_case", ["full", "snake", "case"]),
        ("مَدرسة كبيرة", ["مَدرسة", "كبيرة"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("…", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_scores_are_lucene_s_formula() -> None:
    rows = [("a", "", "alpha beta beta"), ("b", "alpha", "gamma"), ("c", "", "delta delta delta delta")]
    index = Bm25(iter(rows), "xx", k1=0.9, b=0.4)
    found = dict(index.search("beta unknown", 10))
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    tf = 2 / (2 + 0.9 * (1 - 0.4 + 0.4 * 3 / 3))
    assert found == {"a": pytest.approx(idf * tf, rel=1e-5)}
    assert [doc_id for doc_id, _ in index.search("alpha", 10)] == ["b", "a"], "the shorter passage first"


def test_stems_ties_and_lists() -> None:
    rows = [(f"d{number}", "", "talossa" if number % 2 else "muu") for number in range(9)]
    index = Bm25(iter(rows), "fi", k1=0.9, b=0.4)
    assert [doc_id for doc_id, _ in index.search("talo", 3)] == ["d7", "d5", "d3"], "ties: later id first"
    assert [doc_id for doc_id, _ in index.search("talot", 9, among=["d1", "d2", "d5", "gone"])] == ["d5", "d1"]
    assert index.search("", 3) == index.search("zzz", 3) == []


def test_a_corpus_without_words() -> None:
    assert Bm25(iter([("a", "", "…")]), "fi", k1=0.9, b=0.4).search("talo", 3) == []
    assert Bm25(iter([]), "fi", k1=0.9, b=0.4).search("talo", 3) == []
