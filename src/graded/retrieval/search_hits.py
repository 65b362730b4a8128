"""Hits in files: what a unit of passages has for each query, and the best of several such files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graded.formats.atomic import atomic
from graded.formats.table import open_parquet
from graded.retrieval.search import Hits, best

HITS = pa.schema([("query", pa.int32()), ("doc_id", pa.string()), ("score", pa.float32())])


def write_hits(path: Path, hits: Hits) -> None:
    """Write ``hits`` as Parquet: query (its number), doc_id, score; best first."""
    counts = [len(ids) for ids in hits.ids]
    columns = [
        pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts)),
        pa.array([name for ids in hits.ids for name in ids], pa.string()),
        pa.array(hits.scores[np.isfinite(hits.scores)]),
    ]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_arrays(columns, schema=HITS), temporary, compression="zstd")


def merge_hits(paths: Sequence[Path], queries: int, k: int) -> Hits:
    """Return the k best of several files of hits, one in memory at a time; errors as ``open_parquet``."""
    scores, ids = np.full((queries, k), -np.inf, np.float32), np.full((queries, k), "", object)
    for path in paths:
        with open_parquet(path) as file:
            table = file.read()
        query = table.column("query").to_numpy()
        counts = np.bincount(query, minlength=queries)
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        new_scores, new_ids = np.full_like(scores, -np.inf), np.full_like(ids, "")
        new_scores[query, place] = table.column("score").to_numpy()
        new_ids[query, place] = table.column("doc_id").to_pylist()
        scores, ids = best(np.concatenate([scores, new_scores], axis=1), np.concatenate([ids, new_ids], axis=1), k)
    known = np.isfinite(scores).sum(axis=1)
    return Hits([list(row[:count]) for row, count in zip(ids, known, strict=True)], scores)
