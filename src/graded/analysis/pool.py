"""A small corpus that stands for a large one: what is judged, and what a base system found.

The pool holds its base system's own hits and no other system's. The base meets every wrong passage that it ranks high
over the whole, so its nDCG@k stays what it is for k up to the pool's depth; another system is spared its own wrong ones
that nobody pooled, so its nDCG@k can only rise, and a gain over the base looks larger than it is. It is for quick
looks; a claim needs the full corpus.
"""

from __future__ import annotations

import heapq
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from graded.console import say
from graded.errors import DataError, MissingError, many
from graded.formats import atomic, table, trec
from graded.records import Direction

_IDS = pa.schema([("doc_id", pa.string())])


def write_pool(corpus: Path, qrels: Sequence[Path], runs: Sequence[Path], top: int, target: Path) -> int:
    """Write the passages of ``corpus`` that ``qrels`` judge or ``runs`` rank among their first ``top``.

    Args:
        corpus: Parquet file (doc_id, title, text), streamed.
        qrels: Parquet files (query_id, doc_id, relevance).
        runs: TREC runs over the whole of ``corpus``, one for each of ``qrels``.
        top: passages a query, the best by score, then by doc_id descending (trec_eval's rule); ranks do not matter.
        target: Parquet file to write, in the order of ``corpus``.

    Returns:
        The number of passages.

    Raises:
        MissingError: a file is not there.
        DataError: a run names a passage that the corpus lacks: it is of another corpus. Or it lacks a judged query,
            or has fewer passages for one than ``top`` (or than the corpus has).
    """
    depth = min(top, table.count_rows(corpus))
    found: set[str] = set()
    for run, judged in zip(runs, qrels, strict=True):
        ranked = _first(run, top)
        found.update(doc_id for ids in ranked.values() for doc_id in ids)
        refuse_shallow(run, ranked, sorted({query_id for (query_id,) in table.read_rows(judged, "query_id")}), depth)
    pooled = sorted(found)
    ids = target.with_name(f".{target.name}.ids")
    table.write_rows(ids, _IDS, ((doc_id,) for doc_id in pooled))
    try:
        with table.connect() as connection:
            lost = connection.execute(
                "SELECT count(*), min(doc_id) FROM read_parquet(?) ANTI JOIN read_parquet(?) c USING (doc_id)",
                [str(ids), str(corpus)],
            ).fetchone()
            if lost and lost[0]:
                raise DataError(f"pool: {many(lost[0], 'passage')} of the runs not in {corpus}, the first {lost[1]!r}")
            select = (
                "SELECT doc_id, title, text FROM read_parquet(?) WHERE doc_id IN"
                " (SELECT doc_id FROM read_parquet(?) UNION SELECT doc_id FROM read_parquet(?))"
            )
            return table.copy_query(connection, select, target, [str(corpus), str(ids), [str(path) for path in qrels]])
    finally:
        ids.unlink(missing_ok=True)


def refuse_shallow(run: Path, ranked: dict[str, list[str]], queries: Sequence[str], depth: int) -> None:
    """Refuse a run that would leave a hole in the pool.

    Args:
        run: named in the error.
        ranked: query_id -> doc_ids of the run.
        queries: those that are judged.
        depth: passages that each has to have.

    Raises:
        DataError: a query is not there, or has fewer passages.
    """
    again = "search the whole collection with the base again and copy its runs"
    if absent := [query for query in queries if query not in ranked]:
        counted = f"no line for {len(absent):,} of {len(queries):,} judged queries, the first {absent[0]!r}"
        raise DataError(f"pool: {run} has {counted}; {again}")
    if short := [query for query in queries if len(ranked[query]) < depth]:
        counted = f"{len(short):,} of {len(queries):,} queries, the first {short[0]!r} with {len(ranked[short[0]]):,}"
        raise DataError(
            f"pool: {run} has fewer than {depth:,} passages for {counted}; lower benchmark.pool_top, or raise"
            f" retrieve.k and {again}"
        )


def _first(run: Path, top: int) -> dict[str, list[str]]:
    """Return the ``top`` best doc_ids of each query; scores count as float32, which is what trec_eval reads."""
    scores: dict[str, dict[str, float]] = {}
    for query_id, doc_id, _, score in trec.read_run(run):
        if not math.isfinite(score):
            raise DataError(f"pool: {run}: passage {doc_id!r} of query {query_id!r} has score {score}; not finite")
        scores.setdefault(query_id, {})[doc_id] = score
    return {
        query_id: [doc_id for _, doc_id in heapq.nlargest(top, zip(map(np.float32, one.values()), one, strict=True))]
        for query_id, one in scores.items()
    }


def pool_set(out: Path, home: Path, record: Mapping[str, Any], runs: Path, top: int) -> None:
    """Write ``<name>-pool``: a benchmark's queries and qrels, over the judged passages and the first hits.

    Args:
        out: folder of the benchmarks, which is being written.
        home: what that folder will be called.
        record: the benchmark's benchmark.json.
        runs: folder of the base's runs over the whole collection (<ql>-<dl>.trec).
        top: as :func:`write_pool`'s.

    Raises:
        MissingError, DataError: as :func:`write_pool`; a run is not there.
    """
    name, pooled = record["name"], f"{record['name']}-pool"
    lacking = [path for one in record["directions"] if not (path := run_path(runs, direction(one))).is_file()]
    if lacking:
        raise MissingError(
            f"no {lacking[0]} for the pool of {name}: search the whole collection with the base once, then"
            f" cp data/run/base/{name}/*.trec {runs}"
        )
    entries: dict[str, list[dict[str, str]]] = {}
    for one in record["directions"]:
        entries.setdefault(one["corpus"], []).append(one)
    for source, same in entries.items():
        corpus = Path(source)
        whole = out / corpus.relative_to(home) if corpus.is_relative_to(home) else corpus
        directions = [direction(one) for one in same]
        qrels = [out / name / one.name / "qrels.parquet" for one in directions]
        target = Path(pooled, "corpus", corpus.name)
        count = write_pool(whole, qrels, [run_path(runs, one) for one in directions], top, out / target)
        say(f"benchmark {pooled} {directions[0].doc_lang}: {count:,} of {table.count_rows(whole):,} passages")
        for one in directions:
            shutil.copytree(out / name / one.name, out / pooled / one.name)
        entries[source] = [{**entry, "corpus": str(home / target)} for entry in same]
    changed = {"name": pooled, "pool": top, "directions": [one for same in entries.values() for one in same]}
    atomic.write_json(out / pooled / "benchmark.json", {**record, **changed})


def direction(entry: Mapping[str, str]) -> Direction:
    """Return the direction of a line of benchmark.json."""
    return Direction(entry["query_lang"], entry["doc_lang"])


def run_path(runs: Path, one: Direction) -> Path:
    """Return the run of a direction."""
    return runs / f"{one.name}.trec"
