"""Exact streaming top-k: against a float64 reference, however the corpus is cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graded.errors import DataError, ParamError
from graded.retrieval import search
from graded.retrieval.search import Hits, Search, top_k
from graded.retrieval.search_device import DeviceProduct
from graded.retrieval.search_int8 import Int8Pass, int8_is_exact
from graded.retrieval.search_pass import BFloat16Pass, Float32Pass, Pass, float32_error

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


def near_ties(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Scores within 1e-4 of each other: eight bits tell nothing apart."""
    centre = unit(1, 48, 8)
    vectors = centre + 0.002 * rng.standard_normal((5000, 48)).astype(np.float32)
    return centre + 0.01 * rng.standard_normal((20, 48)).astype(np.float32), vectors


def outliers(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A few components a hundred times the others, and passages of very different lengths."""
    scale = np.ones(48, np.float32)
    scale[:3] = 100
    lengths = rng.uniform(0, 50, (5000, 1)).astype(np.float32)
    return unit(20, 48, 1) * scale, unit(5000, 48, 2) * scale * lengths


def zeros(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Zero vectors among small ones."""
    vectors = unit(5000, 48, 2) * np.float32(1e-6)
    vectors[rng.random(5000) < 0.5] = 0
    return np.concatenate([unit(19, 48, 1), np.zeros((1, 48), np.float32)]), vectors


@pytest.mark.parametrize("first_pass", ["float32", "int8", "bfloat16", "device", "device bfloat16"])
@pytest.mark.parametrize("make", [near_ties, outliers, zeros])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_first_pass_gives_the_same(
    first_pass: str, make: Callable[[np.random.Generator], tuple[Floats, Floats]], threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if first_pass == "int8" and not int8_is_exact():
        pytest.skip("this processor has no exact int8 product")
    if first_pass.startswith("device"):  # a GPU's path, on the CPU
        rounded = first_pass.endswith("16")
        monkeypatch.setattr(search, "make_product", lambda q, k, *_: DeviceProduct(q, k, "cpu", rounded=rounded))
        first_pass = "auto"
    queries, vectors = make(np.random.default_rng(9))
    ids = [f"d{number}" for number in range(len(vectors))]
    expected = reference(queries, ids, vectors, 10)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        same(top_k(queries, cut(ids, vectors, [3000]), 10, first_pass=first_pass), expected)
    finally:
        torch.set_num_threads(before)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 3, 64, 100]), st.floats(1e-3, 1e3))
def test_no_pair_above_its_floor_is_lost(seed: int, dim: int, scale: float) -> None:
    """Each first pass's bound, on heavy-tailed vectors: with the floor at a pair's own score, the pair is there."""
    rng = np.random.default_rng(seed)
    queries = rng.standard_cauchy((7, dim)).clip(-1e3, 1e3).astype(np.float32)
    vectors = (rng.standard_cauchy((90, dim)).clip(-1e3, 1e3) * scale).astype(np.float32)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    norms, longest = np.linalg.norm(queries.astype(np.float64), axis=1), float(np.linalg.norm(vectors, axis=1).max())
    kinds: list[Callable[..., Pass]] = [
        Float32Pass,
        BFloat16Pass,
        *([Int8Pass] if dim >= Int8Pass.MIN_DIM and int8_is_exact() else []),
    ]
    for kind in kinds:
        chosen = rng.integers(0, 90, 7)
        floor = exact[np.arange(7), chosen].astype(np.float32)
        query, row, found = kind(queries, norms).pairs(vectors, floor, longest * (1 + 1e-6))
        assert set(zip(range(7), chosen, strict=True)) <= set(zip(query, row, strict=True)), kind
        error = float32_error(norms, longest, dim)[query]
        assert (np.abs(found - exact[query, row]) <= error).all(), kind


@pytest.mark.parametrize("many", [0, 10**9], ids=["numba", "numpy"])
@pytest.mark.parametrize("dim", [1, 7, 384, 1000])
def test_scores_are_exact_sums_rounded(many: int, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds, and in whatever order; also where float64 cannot tell on which side of a half the sum is."""
    monkeypatch.setattr(search, "MANY", many)
    rng = np.random.default_rng(dim)
    queries, vectors = (
        rng.standard_normal((9, dim)).astype(np.float32),
        rng.standard_normal((40, dim)).astype(np.float32),
    )
    vectors[::5] = 0
    if dim > 5:  # 1 + 2^-24, the half between two float32 numbers, and a little more or less, between what cancels out
        queries[0], vectors[1:4] = 0, 0
        queries[0, :5] = 2.0**60, 1, 2.0**-24, 2.0**-50, 2.0**60
        vectors[1:4, :5] = [(1, 1, 1, sign, -1) for sign in (1, 0, -1)]
    query, row = rng.integers(0, 9, 300), rng.integers(0, 40, 300)
    query[:3], row[:3] = 0, (1, 2, 3)
    scores = search.exact_scores(queries, query, vectors, row)
    if dim > 5:
        assert scores[:3].tolist() == [1 + 2.0**-23, 1, 1]
    pairs = [queries[a].astype(np.float64) * vectors[b] for a, b in zip(query[3:], row[3:], strict=True)]
    assert scores[3:].tolist() == [float(np.float32(math.fsum(pair))) for pair in pairs]


def test_passages_as_bytes() -> None:
    from graded.retrieval import search_kernels

    vectors = unit(50, 100, 1)
    vectors[7] *= -3
    most = np.uint32(search_kernels.largest(vectors.view(np.uint32))).view(np.float32)
    assert most == np.abs(vectors).max()
    found = np.empty(vectors.shape, np.uint8)
    worst = search_kernels.to_bytes(vectors, np.float32(127 / most), found)
    scaled = vectors.astype(np.float64) * np.float32(127 / most)
    np.testing.assert_array_equal(found, np.floor(scaled + 128.5).astype(np.uint8))
    assert worst == pytest.approx(((scaled - np.floor(scaled + 0.5)) ** 2).sum(axis=1).max(), rel=1e-3)


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
