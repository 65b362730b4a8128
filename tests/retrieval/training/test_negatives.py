"""Explicit negatives: what is mined, what is never drawn, and in which share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graded.retrieval.encoder import Encoder
from graded.retrieval.training import negatives, setup
from graded.retrieval.training.group import Group
from graded.retrieval.training.pairs import key, read_pairs
from graded.retrieval.training.rows import known_relevant
from graded.retrieval.training.settings import Settings


def test_mined_ones_are_the_window_of_the_ranking_less_the_relevant(layout: Path) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    passages, pool = negatives.pools(pairs, layout / "data" / "sample")
    assert [len(numbers) for numbers in pool] == [120, 120]
    banned = known_relevant(pairs, "infonce", drop_middle=False)
    encoder = Encoder.load(layout / "data" / "encoder")
    mined = negatives.mine(encoder, pairs, passages, pool, banned, (3, 20), 0.0)
    assert mined.shape == (24, 18)
    for query in (0, 7, 23):
        numbers = pool[pairs.query_lang[query]]
        vectors = encoder.encode([passages[number] for number in numbers], "passage").astype(np.float64)
        scores = vectors @ encoder.encode([pairs.queries[query]], "query")[0].astype(np.float64)
        worst = np.sort(scores)[::-1][2]  # rank 3
        found = mined[query][mined[query] >= 0]
        assert len(found)
        assert (scores[np.searchsorted(numbers, found)] <= worst + 1e-6).all()
        assert not set(passages.keys[found]) & set(passages.keys[banned[query]])
    strict = negatives.mine(encoder, pairs, passages, pool, banned, (3, 20), 0.05)
    assert (strict >= 0).sum() < (mined >= 0).sum()
    numbers = pool[pairs.query_lang[5]]
    found_vectors = encoder.encode([passages[number] for number in numbers], "passage")
    asked = encoder.encode([pairs.queries[5]], "query")[0]
    positives = pairs.passage[(pairs.query == 5) & pairs.positive]
    lowest = (found_vectors[np.searchsorted(numbers, positives)] @ asked).min()
    kept = strict[5][strict[5] >= 0]
    assert (found_vectors[np.searchsorted(numbers, kept)] @ asked <= lowest - 0.05 + 1e-6).all()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_mined_ones(layout: Path, share: float) -> None:
    asked = {"per_query": 3, "share_mined": share, "ranks": [2, 30]}
    chosen = Settings.model_validate({"negatives": asked})
    pairs = read_pairs(layout / "data" / "pair.parquet")
    explicit = setup.negatives(chosen, pairs, layout / "data" / "sample", layout / "data" / "encoder", 3, Group())
    assert explicit is not None
    passages, made = explicit
    mined = total = 0
    for row in range(24):
        for epoch in range(8):
            drawn = made.draw(row, row, epoch)
            assert list(drawn) == list(made.draw(row, row, epoch))
            assert len(set(passages.keys[drawn])) == len(drawn) == 3
            assert not set(passages.keys[drawn]) & set(passages.keys[made.banned[row]])
            assert set(drawn) <= set(made.pool[pairs.query_lang[row]])
            mined, total = mined + np.isin(drawn, made.mined[row]).sum(), total + 3
    if share in (0.0, 1.0):
        assert mined == share * total
    else:
        assert share <= mined / total < 0.75  # a random one can be among the mined
    batch = setup.source(chosen, pairs, 3, explicit).batch(np.arange(4), 0, 1)
    assert (np.bincount(batch.row) == 4).all()
    assert batch.positive.sum() == 4


def test_below_tau_and_the_middle(layout: Path) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    none = np.full((len(pairs.queries), 0), -1, np.int64)
    every, ends = (negatives.below_tau(pairs, none, drop_middle=drop) for drop in (False, True))
    for query in range(len(pairs.queries)):
        mine = pairs.query == query
        below = pairs.passage[mine & (pairs.grade < 2)]
        assert sorted(every[query][every[query] >= 0]) == sorted(below)
        assert sorted(ends[query][ends[query] >= 0]) == sorted(pairs.passage[mine & (pairs.grade == 0)])
    middle = known_relevant(pairs, "infonce", drop_middle=True)
    assert set(middle[0]) == set(pairs.passage[(pairs.query == 0) & (pairs.grade > 0)])


def test_texts_are_numbered_once(layout: Path) -> None:
    pairs = read_pairs(layout / "data" / "pair.parquet")
    passages, _ = negatives.pools(pairs, layout / "data" / "sample")
    assert len(passages) == len(set(zip(passages.ids.tolist(), range(len(passages)), strict=True)))
    assert passages.keys[3] == key(passages[3])
    assert len(passages) - len(pairs.passages) == sum(
        f"{lang}-d{number}" not in {name for _, name in pairs.doc_ids} for lang in ("fi", "ar") for number in range(120)
    )
