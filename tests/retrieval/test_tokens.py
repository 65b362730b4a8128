"""Chunks hold every text once, sorted by length, within the budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graded.retrieval.tokens import Tokenizer, Tokens, chunks
from tests import encoders


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 2048))
def test_chunks(lengths: list[int], budget: int) -> None:
    sizes = np.array(lengths, np.int64)
    parts = chunks(sizes, budget)
    assert sorted(index for part in parts for index in part.tolist()) == list(range(len(lengths)))
    ordered = [lengths[index] for part in parts for index in part.tolist()]
    assert ordered == sorted(lengths, reverse=True)
    for part in parts:
        assert int(sizes[part].sum()) < budget + max(lengths)
    assert len(parts) <= sum(lengths) // budget + 1


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=20), st.randoms())
def test_take(rows: list[list[int]], random: object) -> None:
    tokens = Tokens(
        np.array([i for row in rows for i in row], np.int32), np.array([len(row) for row in rows], np.int64)
    )
    which = list(range(len(rows)))
    random.shuffle(which)  # type: ignore[attr-defined]
    taken = tokens.take(np.array(which, np.int64))
    assert taken.ids.tolist() == [i for index in which for i in rows[index]]
    assert taken.lengths.tolist() == [len(rows[index]) for index in which]


def test_threads_give_the_same_tokens(tmp_path: Path) -> None:
    tokenizer = Tokenizer(encoders.random_encoder(tmp_path, "bert"), 16)
    one, three = tokenizer(encoders.TEXTS, "query: "), tokenizer(encoders.TEXTS, "query: ", 3)
    assert one.ids.tolist() == three.ids.tolist()
    assert one.lengths.tolist() == three.lengths.tolist()
    assert int(one.lengths.max()) == 16
