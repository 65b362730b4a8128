"""Listed passages alone, in trec_eval's order, the same whatever the shards; scores those of the search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graded.errors import DataError
from graded.retrieval.rerank import Listed, listing
from graded.retrieval.search import top_k
from graded.retrieval.search_jobs import Asked, Job, Question

PASSAGES = {"d1": [2, 0, 0], "d2": [1, 1, 0], "d3": [3, 0, 0], "d4": [1, 1, 0], "d5": [0, 0, 1]}
CORPUS = Path("corpus.parquet")
VECTORS = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_only_what_is_listed(size: int) -> None:
    askers = listing([["d1", "d2", "d4", "gone"], ["d4", "d5", "d2"], None])
    assert askers["d2"] == [0, 1]
    best: dict[int, list[list[str]]] = {3: [["d1", "d4", "d2"], ["d4", "d2", "d5"], []], 1: [["d1"], ["d4"], []]}
    for k, ids in best.items():
        ranking = Listed(np.vstack([VECTORS, VECTORS[:1]]), k, askers)
        for at in range(0, len(PASSAGES), size):
            part = dict(list(PASSAGES.items())[at : at + size])
            ranking.add(list(part), np.array(list(part.values()), np.float32))
        assert ranking.hits().ids == ids
        scores: list[list[float]] = [[2, 1, 1], [1, 1, 0], [-np.inf] * 3]
        assert ranking.hits().scores.tolist() == [row[:k] for row in scores]


def test_scores_are_those_of_the_search() -> None:
    """One stream for queries of both kinds; a query that lists everything has the search's hits to the last bit."""
    rng = np.random.default_rng(5)
    vectors, queries = (rng.standard_normal((count, 24), np.float32) for count in (300, 4))
    vectors[200:] = vectors[:100]  # ties
    ids = [f"d{number}" for number in rng.permutation(300)]
    asked = [Asked("fi", str(number), tuple(ids) if number % 2 else None) for number in range(4)]
    job = Job(CORPUS, asked)
    question = Question.of(job, {("fi", str(number)): query for number, query in enumerate(queries)})
    assert question.wanted() is None, "two queries search all of it"
    hits = question.answer(((ids[at : at + 70], vectors[at : at + 70]) for at in range(0, 300, 70)), 250)
    whole = top_k(queries, [(ids, vectors)], 250)
    assert hits.ids == whole.ids
    np.testing.assert_array_equal(hits.scores, whole.scores)
    alone = Question.of(Job(CORPUS, asked[1::2]), {("fi", "1"): queries[1], ("fi", "3"): queries[3]})
    assert alone.wanted() == {doc_id: [0, 1] for doc_id in ids}


def test_what_is_asked_has_a_key_of_its_own() -> None:
    asked = [
        [Asked("fi", "a", ("d1", "d2"))],
        [Asked("fi", "a", ("d2", "d1"))],
        [Asked("fi", "a", ("d1",)), Asked("d2", "a", ())],
        [Asked("fi", "a", ())],
        [Asked("fi", "a")],
        [Asked("ar", "a")],
    ]
    assert len({Job(CORPUS, one).key() for one in asked}) == len(asked)


def test_a_score_that_is_no_number_is_refused() -> None:
    ranking = Listed(VECTORS, 2, {"d1": [0]})
    ranking.add(["d2"], np.full((1, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="not finite"):
        ranking.add(["d1"], np.full((1, 3), np.nan, np.float32))
