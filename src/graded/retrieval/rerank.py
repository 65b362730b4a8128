"""Scores of the passages that are listed for each query, and of no others: CLIRMatrix's re-ranking protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from graded.formats import table
from graded.records import passage_text
from graded.retrieval.search import Hits
from graded.retrieval.search_vectors import Encodes, Floats


def rerank(
    encoder: Encodes, corpus: Path, vectors: Floats, listed: Sequence[Sequence[str]], k: int, *, block: int = 16384
) -> Hits:
    """Return each query's listed passages, best first, ties by doc_id descending, at most ``k``.

    Scores are those of :mod:`graded.retrieval.search`: inner products summed in float64, rounded to float32. A
    passage is encoded once however many queries list it; ``block`` of them are in memory at a time.

    Args:
        encoder: the model.
        corpus: Parquet file (doc_id, title, text); its passages that no query lists are skipped.
        vectors: float32 [Q, dim], the queries.
        listed: doc_ids of each query; those that the corpus lacks are left out.
        k: passages a query, at most.
        block: passages encoded at a time.
    """
    askers: dict[str, list[int]] = {}
    for query, ids in enumerate(listed):
        for doc_id in ids:
            askers.setdefault(doc_id, []).append(query)
    found: list[list[tuple[float, str]]] = [[] for _ in listed]
    rows = (row for row in table.read_rows(corpus, "doc_id", "title", "text") if row[0] in askers)
    for ids, passages in _blocks(rows, block):
        encoded = encoder.encode(passages, "passage").astype(np.float64)
        places = [place for place, doc_id in enumerate(ids) for _ in askers[doc_id]]
        queries = [query for doc_id in ids for query in askers[doc_id]]
        products = np.einsum("nd,nd->n", encoded[places], vectors[queries].astype(np.float64)).astype(np.float32)
        for place, query, score in zip(places, queries, products.tolist(), strict=True):
            found[query].append((score, ids[place]))
    best = [sorted(hits, reverse=True)[:k] for hits in found]
    scores = np.full((len(best), k), -np.inf, np.float32)
    for query, hits in enumerate(best):
        scores[query, : len(hits)] = [score for score, _ in hits]
    return Hits([[doc_id for _, doc_id in hits] for hits in best], scores)


def _blocks(rows: Iterator[tuple[str, str, str]], size: int) -> Iterator[tuple[list[str], list[str]]]:
    while block := list(islice(rows, size)):
        yield [doc_id for doc_id, _, _ in block], [passage_text(title, text) for _, title, text in block]
