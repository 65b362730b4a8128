"""Explicit negatives of a query: mined from the base encoder's ranking, and random ones.

The share of mined ones is the experiment of Zhang et al. 2022, Towards Best Practices for Training Multilingual Dense
Retrieval Models; rank window and score margin are the usual filters against mined passages that are relevant after
all (a passage scores at least ``margin`` below the query's lowest positive).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graded.formats.table import read_rows
from graded.records import passage_text
from graded.retrieval.encoder import Encoder
from graded.retrieval.search import top_k
from graded.retrieval.training.group import Group
from graded.retrieval.training.pairs import Pairs, Texts


@dataclass(frozen=True)
class Negatives:
    """Where each query's negatives are drawn from, as numbers into the passages.

    ``mined`` [queries, p] holds a query's mined candidates, best first, -1 behind the last; ``pool`` lists for each
    language all its passages, and ``banned`` for each query those that must not be drawn (nor any of equal text: see
    ``keys``, the passages' text hashes). An epoch draws ``per_query`` of them, the share ``share`` of these from
    ``mined``.
    """

    mined: np.ndarray
    pool: list[np.ndarray]
    query_lang: np.ndarray
    banned: list[np.ndarray]
    keys: np.ndarray
    per_query: int
    share: float
    seed: int

    def draw(self, query: int, row: int, epoch: int) -> np.ndarray:
        """Return ``per_query`` distinct passages for ``row``, whose query is ``query``; fewer where there are none."""
        rng = np.random.default_rng((self.seed, 2, epoch, row))
        mined = self.mined[query][self.mined[query] >= 0]
        exact = self.share * self.per_query
        wanted = min(int(exact) + int(rng.random() < exact - int(exact)), len(mined))
        chosen: list[int] = rng.choice(mined, wanted, replace=False).tolist() if wanted else []
        pool = self.pool[self.query_lang[query]]
        taken = {*self.keys[self.banned[query]].tolist(), *self.keys[chosen].tolist()}
        for number in rng.permutation(pool) if len(pool) <= 256 else _drawn(rng, pool, 64 + 4 * self.per_query):
            if len(chosen) >= self.per_query:
                break
            if int(self.keys[number]) not in taken:
                taken.add(int(self.keys[number]))
                chosen.append(int(number))
        return np.array(chosen, np.int64)


def _drawn(rng: np.random.Generator, pool: np.ndarray, count: int) -> np.ndarray:
    return pool[rng.integers(0, len(pool), count)]


def pools(pairs: Pairs, folder: Path) -> tuple[Texts, list[np.ndarray]]:
    """Return all passages (the pairs' first, then the sample's others) and each language's numbers into them.

    Raises:
        MissingError, DataError: ``folder`` lacks a language's file, or it is no table of passages.
    """
    number = {name: index for index, name in enumerate(pairs.doc_ids)}
    ids: list[str] = []
    texts: list[str] = []
    found = []
    for lang in pairs.languages:
        numbers = []
        for doc_id, title, text in read_rows(folder / f"{lang}.parquet", "doc_id", "title", "text"):
            name = (lang, str(doc_id))
            if name not in number:
                number[name] = len(number)
                ids.append(str(doc_id))
                texts.append(passage_text(title or "", text))
            numbers.append(number[name])
        found.append(np.array(sorted(numbers), np.int64))
    return pairs.passages.extended(ids, texts), found


def mine(
    encoder: Encoder, pairs: Pairs, passages: Texts, pool: Sequence[np.ndarray], banned: Sequence[np.ndarray],
    ranks: tuple[int, int], margin: float,
) -> np.ndarray:  # fmt: skip
    """Return for each query the passages of its language at ``ranks`` (from 1, both ends included) of ``encoder``.

    Those of ``banned`` and of their texts are left out, and those that score above the lowest positive - ``margin``.
    Shape [queries, last - first + 1], best first, -1 behind the last.
    """
    first, last = ranks
    mined = np.full((len(pairs.queries), last - first + 1), -1, np.int64)
    for lang, numbers in enumerate(pool):
        asked: np.ndarray = np.flatnonzero(pairs.query_lang == lang)
        if not len(asked) or not len(numbers):
            continue
        vectors = encoder.encode([passages[number] for number in numbers], "passage")
        queries = encoder.encode([pairs.queries[int(number)] for number in asked], "query")
        hits = top_k(queries, [([str(place) for place in range(len(numbers))], vectors)], min(last, len(numbers)))
        for row, query in enumerate(asked):
            places = np.array([int(place) for place in hits.ids[row]][first - 1 :], np.int64)
            found = numbers[places]
            keep = ~np.isin(passages.keys[found], passages.keys[banned[int(query)]])
            lowest = _lowest(pairs, int(query), numbers, vectors, queries[row])
            if margin and lowest is not None:
                keep &= hits.scores[row][first - 1 : first - 1 + len(places)] <= lowest - margin
            mined[query, : keep.sum()] = found[keep]
    return mined


def _lowest(
    pairs: Pairs, query: int, numbers: np.ndarray, vectors: np.ndarray, vector: np.ndarray
) -> float | None:  # fmt: skip
    """Return the score of the query's lowest positive among the passages ``numbers`` (ascending); None without one."""
    begin, end = np.searchsorted(pairs.query, [query, query + 1])
    positives = pairs.passage[begin:end][pairs.positive[begin:end]]
    places = np.searchsorted(numbers, positives)
    there = (places < len(numbers)) & (numbers[np.minimum(places, len(numbers) - 1)] == positives)
    return float((vectors[places[there]] @ vector).min()) if there.any() else None


def below_tau(pairs: Pairs, mined: np.ndarray, *, drop_middle: bool) -> np.ndarray:
    """Return ``mined`` with each query's passages graded below tau in front (only those at 0 with ``drop_middle``)."""
    chosen = ~pairs.positive & ((pairs.grade == 0) | (not drop_middle))
    query, passage = pairs.query[chosen], pairs.passage[chosen]
    each = np.split(passage, np.searchsorted(query, np.arange(1, len(mined))))
    wide = np.full((len(mined), mined.shape[1] + max(map(len, each))), -1, np.int64)
    for row, front in enumerate(each):
        rest = mined[row][(mined[row] >= 0) & ~np.isin(mined[row], front)]
        wide[row, : len(front) + len(rest)] = np.concatenate([front, rest])
    return wide


def shared(group: Group, mined: np.ndarray | None) -> np.ndarray:
    """Return process 0's ``mined`` in every process; the others give None."""
    if group.size == 1 and mined is not None:
        return mined
    import torch

    shape = group.tell(None if mined is None else list(mined.shape))
    tensor = torch.from_numpy(mined) if mined is not None else torch.zeros(shape, dtype=torch.int64)
    tensor = tensor.to(group.device)
    group.copy(tensor)
    return tensor.cpu().numpy()
