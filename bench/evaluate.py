"""Scoring 3000 queries x 100 passages, five measures, beside pytrec_eval; and the first use with nothing compiled.

python -m bench.evaluate [--keep]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytrec_eval

from bench.harness import Report, interleave
from graded.analysis.compare import difference
from graded.formats import trec
from graded.retrieval import measures

QUERIES, DEPTH, ROUNDS = 3000, 100, 5
TREC = {"ndcg_cut_10", "ndcg_cut_100", "recip_rank", "recall_100"}
FIRST = """
import time
start = time.monotonic()
from graded.retrieval import measures
measures.score({"q": {"a": 1}}, {"q": {"a": 1.0}})
print(time.monotonic() - start)
"""


def generated() -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Return qrels with ten judged passages a query, and a run with ties."""
    random = np.random.default_rng(3)
    qrels, run = {}, {}
    for query in range(QUERIES):
        docs = random.permutation(1000)
        scores = random.integers(0, 60, DEPTH) / 7
        qrels[f"q{query}"] = {f"d{doc}": int(random.integers(0, 4)) for doc in docs[95:105]}
        run[f"q{query}"] = dict(zip((f"d{doc}" for doc in docs[:DEPTH]), scores.tolist(), strict=True))
    return qrels, run


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that runs ``work`` and returns its seconds."""

    def side() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return side


def first(cache: Path) -> float:
    """Return the seconds of a new process that imports and scores, numba's cache in ``cache``."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Measure and report."""
    qrels, run = generated()
    measures.score(qrels, run)  # start-up: imports, and the compiled code from its cache
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run.trec"
        hits = (
            trec.Hit(query, doc, rank, score)
            for query, docs in run.items()
            for rank, (doc, score) in enumerate(docs.items(), 1)
        )
        trec.write_run(path, hits, "bench")

        def read() -> None:
            measures.by_query(((hit.query_id, hit.doc_id, hit.score) for hit in trec.read_run(path)), "run")

        values = measures.score(qrels, run, ["nDCG@10"])["nDCG@10"]
        sides = {
            "score": timed(lambda: measures.score(qrels, run)),
            "pytrec_eval": timed(lambda: pytrec_eval.RelevanceEvaluator(qrels, TREC).evaluate(run)),
            "read": timed(read),
            "test": timed(lambda: difference(values, np.roll(values, 1), seed=1)),
        }
        found = interleave(sides, ROUNDS)
        cold = first(Path(name) / "numba")
        warm = [first(Path(name) / "numba") for _ in range(3)]
    report = Report("evaluate")
    report.ratio("score 3000 x 100, seconds", found["score"], at_most=1)
    report.ratio("pytrec_eval, seconds", found["pytrec_eval"])
    report.ratio("score / pytrec_eval", [a / b for a, b in zip(found["score"], found["pytrec_eval"], strict=True)])
    report.ratio("read the run's file, seconds", found["read"])
    report.ratio("randomisation test and interval, seconds", found["test"])
    report.ratio("first process, nothing compiled, seconds", [cold])
    report.ratio("next process, seconds", warm)
    report.end()


if __name__ == "__main__":
    main()
