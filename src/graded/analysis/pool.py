"""A small corpus that stands for a large one: what is judged, and what a base system found.

The pool holds its base system's own hits and no other system's. The base meets every wrong passage that it ranks high
over the whole, so its nDCG@k stays what it is for k up to the pool's depth; another system is spared its own wrong ones
that nobody pooled, so its nDCG@k can only rise, and a gain over the base looks larger than it is. It is for quick
looks; a claim needs the full corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from graded.errors import DataError
from graded.formats import table, trec

_IDS = pa.schema([("doc_id", pa.string())])


def write_pool(corpus: Path, qrels: Sequence[Path], runs: Iterable[Path], top: int, target: Path) -> int:
    """Write the passages of ``corpus`` that ``qrels`` judge or ``runs`` rank among their first ``top``.

    Args:
        corpus: Parquet file (doc_id, title, text), streamed.
        qrels: Parquet files (query_id, doc_id, relevance).
        runs: TREC runs over the whole of ``corpus``.
        top: passages a query.
        target: Parquet file to write, in the order of ``corpus``.

    Returns:
        The number of passages.

    Raises:
        MissingError: a file is not there.
        DataError: a run names a passage that the corpus lacks: it is of another corpus.
    """
    pooled = sorted({hit.doc_id for run in runs for hit in trec.read_run(run) if hit.rank <= top})
    ids = target.with_name(f".{target.name}.ids")
    table.write_rows(ids, _IDS, ((doc_id,) for doc_id in pooled))
    try:
        with table.connect() as connection:
            lost = connection.execute(
                "SELECT count(*), min(doc_id) FROM read_parquet(?) ANTI JOIN read_parquet(?) c USING (doc_id)",
                [str(ids), str(corpus)],
            ).fetchone()
            if lost and lost[0]:
                raise DataError(f"pool: {lost[0]:,} passages of the runs are not in {corpus}, the first {lost[1]!r}")
            select = (
                "SELECT doc_id, title, text FROM read_parquet(?) WHERE doc_id IN"
                " (SELECT doc_id FROM read_parquet(?) UNION SELECT doc_id FROM read_parquet(?))"
            )
            return table.copy_query(connection, select, target, [str(corpus), str(ids), [str(path) for path in qrels]])
    finally:
        ids.unlink(missing_ok=True)
