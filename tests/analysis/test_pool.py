"""What a pool does to scores: nothing to the system that it was made of, and no harm to any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graded.analysis.pool import write_pool
from graded.errors import DataError
from graded.formats import table, trec
from graded.retrieval import measures

#: One worker imports ranx for all of them.
pytestmark = pytest.mark.xdist_group("ranx")

DEPTH = 10


def test_the_base_stays_and_the_others_rise(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    docs = [f"d{number:03}" for number in range(400)]
    qrels = {f"q{query}": {doc: int(rng.integers(0, 3)) for doc in rng.permutation(docs)[:8]} for query in range(40)}
    systems = {}
    for name, skill in (("base", 0.6), ("tuned", 0.8)):
        systems[name] = {
            query: {doc: float(np.float32(rng.random() + skill * judged.get(doc, 0))) for doc in docs}
            for query, judged in qrels.items()
        }
    table.write_rows(tmp_path / "corpus.parquet", table.PASSAGES, [(doc, "", "x") for doc in docs])
    rows = [(query, doc, grade) for query, judged in qrels.items() for doc, grade in judged.items()]
    table.write_rows(tmp_path / "qrels.parquet", table.QRELS, rows)
    hits = [
        trec.Hit(query, doc, place, scores[doc])
        for query, scores in systems["base"].items()
        for place, doc in enumerate(measures.rank(scores), 1)
    ]
    trec.write_run(tmp_path / "base.trec", hits, "base")
    target = tmp_path / "pool.parquet"
    write_pool(tmp_path / "corpus.parquet", [tmp_path / "qrels.parquet"], [tmp_path / "base.trec"], DEPTH, target)
    pool = {doc for (doc,) in table.read_rows(target, "doc_id")}
    assert len(pool) < len(docs)
    full, pooled = {}, {}
    for name, run in systems.items():
        kept = {query: {doc: score for doc, score in scores.items() if doc in pool} for query, scores in run.items()}
        full[name], pooled[name] = (measures.score(qrels, one, ["nDCG@10"])["nDCG@10"] for one in (run, kept))
    np.testing.assert_array_equal(pooled["base"], full["base"])
    assert (pooled["tuned"] >= full["tuned"] - 1e-12).all()
    assert (pooled["tuned"] - pooled["base"]).mean() > (full["tuned"] - full["base"]).mean()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"q1": 2, "q2": 3}, r"run\.trec has fewer than 3 passages for 1 of 2 queries, the first 'q1' with 2; lower"),
        ({"q1": 3}, r"run\.trec has no line for 1 of 2 judged queries, the first 'q2'; search the whole"),
        ({"q1": 3, "q2": 3}, ""),
    ],
)
def test_a_run_with_a_hole_makes_no_pool(tmp_path: Path, asked: dict[str, int], says: str) -> None:
    table.write_rows(tmp_path / "corpus.parquet", table.PASSAGES, [(f"d{number}", "", "x") for number in range(3)])
    table.write_rows(tmp_path / "qrels.parquet", table.QRELS, [("q1", "d1", 1), ("q2", "d2", 1)])
    hits = [trec.Hit(query, f"d{place}", place, -place) for query, count in asked.items() for place in range(count)]
    trec.write_run(tmp_path / "run.trec", hits, "base")
    files = (tmp_path / "corpus.parquet", [tmp_path / "qrels.parquet"], [tmp_path / "run.trec"])
    if not says:  # ten are asked for, and the corpus has three
        assert write_pool(*files, 10, tmp_path / "pool.parquet") == 3
        return
    with pytest.raises(DataError, match=says):
        write_pool(*files, 10, tmp_path / "pool.parquet")
    assert not (tmp_path / "pool.parquet").exists()
