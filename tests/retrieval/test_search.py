"""Exact streaming top-k: against a float64 reference, however the corpus is cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graded.errors import DataError, ParamError
from graded.retrieval import search
from graded.retrieval.search import Hits, Search, top_k

Floats = npt.NDArray[np.float32]


def unit(count: int, dim: int, seed: int) -> Floats:
    """Random vectors of unit length."""
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def reference(queries: Floats, ids: list[str], vectors: Floats, k: int) -> Hits:
    """Every score in float64, rounded once; sorted in Python by score, then doc_id, both descending."""
    scores = (queries.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
    found, values = [], np.full((len(queries), k), -np.inf, np.float32)
    for number, row in enumerate(scores):
        order = sorted(range(len(ids)), key=lambda index: (row[index], ids[index]), reverse=True)[:k]
        found.append([ids[index] for index in order])
        values[number, : len(order)] = row[order]
    return Hits(found, values)


def same(one: Hits, other: Hits) -> None:
    assert one.ids == other.ids
    assert np.array_equal(one.scores, other.scores)


def cut(ids: list[str], vectors: Floats, sizes: list[int]) -> list[tuple[list[str], Floats]]:
    edges = np.cumsum([0, *sizes, len(ids)]).clip(max=len(ids))
    return [(ids[a:b], vectors[a:b]) for a, b in pairwise(edges)]


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("sizes", [[], [1], [700, 0, 3, 2000], [999] * 20])
def test_equal_to_the_reference_however_cut(k: int, sizes: list[int]) -> None:
    queries, vectors = unit(37, 24, 1), unit(6_000, 24, 2)
    ids = [f"d{number}" for number in range(len(vectors))]
    same(top_k(queries, cut(ids, vectors, sizes), k), reference(queries, ids, vectors, k))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 40),
    st.integers(1, 12),
    st.lists(st.integers(0, 60), max_size=6),
    st.randoms(use_true_random=False),
)
def test_ties_go_to_the_larger_id(seed: int, distinct: int, k: int, sizes: list[int], shuffle: object) -> None:
    """Many equal vectors with small whole components: every score is exact, most are tied."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(-2, 3, (5, 6)).astype(np.float32)
    vectors = rng.integers(-1, 2, (distinct, 6)).astype(np.float32)[rng.integers(0, distinct, 150)]
    ids = [str(number) for number in rng.permutation(150)]
    same(top_k(queries, cut(ids, vectors, sizes), k), reference(queries, ids, vectors, k))


def test_order_of_shards_does_not_matter() -> None:
    queries, vectors = unit(9, 16, 3), np.repeat(unit(300, 16, 4), 3, axis=0)
    ids = [f"p{number:04}" for number in range(900)]
    shards = cut(ids, vectors, [100] * 8)
    same(top_k(queries, shards, 20), top_k(queries, shards[::-1], 20))


def test_all_equal_scores_stay_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be excluded by score: pairs are settled early and the ids decide."""
    monkeypatch.setattr(search, "PENDING", 5000)
    settled: list[int] = []
    real = search.exact_scores

    def counted(queries: Floats, query: Any, vectors: Floats, row: Any) -> Floats:
        settled.append(len(query))
        return real(queries, query, vectors, row)

    monkeypatch.setattr(search, "exact_scores", counted)
    queries, vectors = unit(4, 8, 5), np.repeat(unit(1, 8, 6), 40_000, axis=0)
    ids = [f"{number:05}" for number in range(40_000)]
    hits = top_k(queries, [(ids, vectors)], 3)
    assert hits.ids == [["39999", "39998", "39997"]] * 4
    assert max(settled) <= 5000 + 4 * search.CHUNK


def test_fewer_passages_than_k() -> None:
    hits = top_k(unit(2, 4, 1), [(["a", "b"], unit(2, 4, 2)), ([], unit(0, 4, 3))], 5)
    assert [sorted(ids) for ids in hits.ids] == [["a", "b"]] * 2
    assert hits.scores.shape == (2, 5)
    assert np.isneginf(hits.scores[:, 2:]).all()
    assert top_k(unit(0, 4, 1), [(["a"], unit(1, 4, 2))], 5).ids == []
    assert top_k(unit(2, 4, 1), [], 5).ids == [[], []]


def test_more_queries_than_a_block() -> None:
    queries, vectors = unit(search.BLOCK + 5, 8, 1), unit(400, 8, 2)
    ids = [str(number) for number in range(400)]
    same(top_k(queries, cut(ids, vectors, [150]), 3), reference(queries, ids, vectors, 3))


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e4])
def test_vectors_of_any_length(scale: float) -> None:
    queries = unit(6, 32, 1) * np.float32(scale)
    vectors = unit(3000, 32, 2) * np.random.default_rng(3).uniform(0.1, 30, (3000, 1)).astype(np.float32)
    ids = [str(number) for number in range(3000)]
    same(top_k(queries, cut(ids, vectors, [1000]), 10), reference(queries, ids, vectors, 10))


def test_errors_quote_what_came() -> None:
    good = unit(2, 4, 1)
    with pytest.raises(ParamError, match="k: received 0"):
        Search(good, 0)
    with pytest.raises(ParamError, match="did you mean 'float32'"):
        top_k(good, [(["a", "b"], good)], 1, first_pass="float23")
    with pytest.raises(DataError, match=r"shape \[2, 3\]; expected \[n, 4\]"):
        Search(good, 1).add(["a", "b"], unit(2, 3, 1))
    with pytest.raises(DataError, match="1 doc_ids for 2 vectors"):
        Search(good, 1).add(["a"], good)
    with pytest.raises(DataError, match="not finite"):
        Search(good, 1).add(["a", "b"], np.full((2, 4), np.nan, np.float32))
