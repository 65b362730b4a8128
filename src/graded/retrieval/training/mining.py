"""Mined negatives: what the base encoder ranks high for a query and nobody graded relevant.

Rank window and score margin are the usual filters against mined passages that are relevant after all (a passage scores
at least ``margin`` below the query's lowest positive). Each process ranks its share of the languages; a finished one is
kept in `.work/mined`, by a hash of all that it depends on, so that a run which was stopped ranks nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from graded.console import Progress
from graded.formats.atomic import atomic
from graded.formats.work import work_folder
from graded.retrieval.encoder import Encoder
from graded.retrieval.search import top_k
from graded.retrieval.training.checkpoint import STALE, make_key
from graded.retrieval.training.group import Group
from graded.retrieval.training.pairs import Pairs, Texts

#: places [q, w] int32 in the language's pool, -1 behind the last, with their scores [q, w] float32; graded [m] float32,
#: the scores of the language's graded pairs (NaN where the passage is not in the pool).
Ranking = dict[str, np.ndarray]


def mine(
    load: Callable[[], Encoder], facts: Any, pairs: Pairs, passages: Texts, pool: Sequence[np.ndarray],
    banned: Sequence[np.ndarray], ranks: tuple[int, int], margin: float | None, group: Group,
) -> np.ndarray:  # fmt: skip
    """Return for each query the passages of its language at ``ranks`` (from 1, both ends included) of the encoder.

    Those of ``banned`` and of their texts are left out, texts that stand before, and (with a margin) those that score
    above the lowest positive - ``margin``. Shape [queries, last - first + 1], best first, -1 behind the last; the same
    in every process. ``facts`` is what names the encoder that ``load`` opens.

    Raises:
        ServiceError: the disk is full.
    """
    gather = group.patient()
    mine: dict[int, Ranking] = {}
    folder = work_folder("mined")
    encoder: Encoder | None = None
    for lang in range(group.rank, len(pool), group.size):
        asked = np.flatnonzero(pairs.query_lang == lang)
        if not len(asked) or not len(pool[lang]):
            continue
        _, graded = _graded(pairs, lang)
        texts = (pairs.queries.keys[asked], passages.keys[pool[lang]])
        hashes = [_hash(each) for each in (*texts, pool[lang], asked, pairs.query[graded], pairs.passage[graded])]
        name = make_key([], {"facts": facts, "ranks": ranks, "of": hashes})
        found = _load(folder / f"{name}.safetensors")
        if found is None:
            encoder = encoder or load()
            found = rank(encoder, pairs, passages, pool[lang], lang, ranks, shown=group.first)
            _save(folder / f"{name}.safetensors", found)
        mine[lang] = found
    every = {lang: found for part in gather(mine) for lang, found in part.items()}
    return _kept(every, pairs, passages.keys, pool, banned, ranks[1] - ranks[0] + 1, margin)


def rank(
    encoder: Encoder, pairs: Pairs, passages: Texts, numbers: np.ndarray, lang: int, ranks: tuple[int, int], *,
    shown: bool = False,
) -> Ranking:  # fmt: skip
    """Return the window ``ranks`` of ``encoder``'s ranking of the passages ``numbers`` for the queries of ``lang``."""
    asked, graded = _graded(pairs, lang)
    label = f"train: mines negatives, {pairs.languages[lang]}"
    with Progress(label, len(numbers) + len(asked), "texts") if shown else nullcontext() as progress:
        count = progress.update if progress else None
        vectors = encoder.encode([passages[number] for number in numbers], "passage", progress=count)
        queries = encoder.encode([pairs.queries[int(number)] for number in asked], "query", progress=count)
    first, last = ranks
    hits = top_k(queries, [([str(place) for place in range(len(numbers))], vectors)], min(last, len(numbers)))
    shape = (len(asked), last - first + 1)
    places, scores = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    for row, ids in enumerate(hits.ids):
        window = [int(place) for place in ids[first - 1 :]]
        places[row, : len(window)] = window
        scores[row, : len(window)] = hits.scores[row][first - 1 : first - 1 + len(window)]
    at = np.minimum(np.searchsorted(numbers, pairs.passage[graded]), len(numbers) - 1)
    products = np.einsum("pd,pd->p", vectors[at], queries[np.searchsorted(asked, pairs.query[graded])])
    return {
        "places": places,
        "scores": scores,
        "graded": np.where(numbers[at] == pairs.passage[graded], products, np.nan).astype(np.float32),
    }


def _graded(pairs: Pairs, lang: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries of ``lang`` and its pairs."""
    of_lang = pairs.query_lang == lang
    return np.flatnonzero(of_lang), np.flatnonzero(of_lang[pairs.query])


def _kept(
    every: dict[int, Ranking], pairs: Pairs, keys: np.ndarray, pool: Sequence[np.ndarray],
    banned: Sequence[np.ndarray], width: int, margin: float | None,
) -> np.ndarray:  # fmt: skip
    """Return [queries, width] passages: the rankings without what must not be drawn."""
    mined = np.full((len(pairs.queries), width), -1, np.int64)
    for lang, found in every.items():
        asked, graded = _graded(pairs, lang)
        lowest = np.full(len(pairs.queries), np.inf)
        there = pairs.positive[graded] & ~np.isnan(found["graded"])
        np.minimum.at(lowest, pairs.query[graded][there], found["graded"][there])
        for row, query in enumerate(asked):
            keep = found["places"][row] >= 0
            if margin is not None:
                keep &= found["scores"][row] <= lowest[query] - margin
            numbers = pool[lang][found["places"][row][keep]]
            numbers = numbers[np.sort(np.unique(keys[numbers], return_index=True)[1])]
            numbers = numbers[~np.isin(keys[numbers], keys[banned[int(query)]])]
            mined[query, : len(numbers)] = numbers
    return mined


def _hash(values: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _load(path: Path) -> Ranking | None:
    """Return what :func:`_save` kept; None where it is not there or does not open."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return None


def _save(path: Path, found: Ranking) -> None:
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        save_file(found, temporary)
    for other in path.parent.glob("*.safetensors"):
        if time.time() - other.stat().st_mtime > STALE * 86400:
            other.unlink(missing_ok=True)
