"""Listed passages alone, in trec_eval's order, the same whatever the block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graded.formats import table
from graded.retrieval.rerank import rerank


class Letters:
    """An encoder whose vectors count letters."""

    dim = 3

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.seen += texts
        return np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32).reshape(-1, 3)


def test_only_what_is_listed(tmp_path: Path) -> None:
    rows = [("d1", "a", "a"), ("d2", "", "ab"), ("d3", "", "aaa"), ("d4", "", "ba"), ("d5", "", "c")]
    table.write_rows(tmp_path / "c.parquet", table.PASSAGES, rows)
    vectors = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    listed = [["d1", "d2", "d4", "gone"], ["d4", "d5", "d2"]]
    for block in (1, 2, 100):
        encoder = Letters()
        hits = rerank(encoder, tmp_path / "c.parquet", vectors, listed, 3, block=block)
        assert hits.ids == [["d1", "d4", "d2"], ["d4", "d2", "d5"]]
        assert hits.scores.tolist() == [[2, 1, 1], [1, 1, 0]]
        assert encoder.seen == ["a a", "ab", "ba", "c"], "each listed passage once, no other"
    assert rerank(Letters(), tmp_path / "c.parquet", vectors, listed, 1).ids == [["d1"], ["d4"]]
