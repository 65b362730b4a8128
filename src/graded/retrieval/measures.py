"""Retrieval measures, computed by ranx on runs whose ties were broken by trec_eval's rule.

``nDCG@k`` has linear gain, as trec_eval's ``ndcg_cut``: sum of rel_i / log2(i + 1) over the ideal sum (Järvelin and
Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques"). ``nDCG_exp@k`` has gain 2^rel - 1 (Burges et al.
2005, "Learning to rank using gradient descent"). ``MRR@k`` is 1 / rank of the first relevant passage, 0 beyond k;
``recall@k`` the part of the relevant passages among the first k. Relevant means relevance >= 1.

ranx orders equal scores by no rule and compiles a typed dictionary of strings at the first use (33 s). Here a run
arrives as an array of integers, already ordered, so that only the measures themselves are compiled, once a machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from graded.errors import DataError, ParamError, one_of
from graded.formats.work import work_folder
from graded.retrieval import compiled

#: What every evaluation reports; the first is primary.
METRICS = ("nDCG@10", "nDCG@100", "MRR@10", "MRR@100", "recall@100")

_RANX = {"nDCG": "ndcg", "nDCG_exp": "ndcg_burges", "MRR": "mrr", "recall": "recall"}

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]


def score(qrels: Qrels, run: Run, metrics: Sequence[str] = METRICS) -> dict[str, np.ndarray]:
    """Return metric -> float64 [Q], one value for each query of ``qrels`` in its order.

    A query that the run lacks, or that has no relevant passage, scores 0 (trec_eval's ``-c``); queries of the run
    that ``qrels`` lacks are not scored.

    Args:
        qrels: query_id -> doc_id -> relevance (a whole number; 0 and less are not relevant).
        run: query_id -> doc_id -> score; their order does not matter.
        metrics: such as ``nDCG@10``, ``nDCG_exp@10``, ``MRR@10``, ``recall@100``.

    Raises:
        ParamError: a metric that is none of these.
        DataError: a score that is no finite number.
    """
    names = {metric: _ranx_name(metric) for metric in metrics}
    if not qrels or not names:
        return {metric: np.zeros(len(qrels)) for metric in names}
    depth = max(int(metric.partition("@")[2]) for metric in names)
    relevant, ranked = _arrays(qrels, run, depth)
    # ranx returns a bare array, under a key it does not name, when asked for one metric: ask for two at least.
    asked = list(names.values())
    results = _evaluate(relevant, ranked, asked if len(asked) > 1 else [*asked, "mrr@1" if depth > 1 else "recall@1"])
    return {metric: results[name] for metric, name in names.items()}


def rank(scores: Mapping[str, float]) -> list[str]:
    """Return the doc_ids of one query as trec_eval orders them: score descending, then doc_id descending.

    Scores are compared as float32, which is what trec_eval reads; doc_ids by code point, as its ``strcmp`` on UTF-8.

    Raises:
        DataError: a score that is no finite number.
    """
    values = np.fromiter(scores.values(), dtype=np.float64, count=len(scores))
    if not np.isfinite(values).all():
        worst = next(doc_id for doc_id, value in scores.items() if not np.isfinite(value))
        raise DataError(f"passage {worst!r} has score {scores[worst]!r}; expected a finite number")
    with np.errstate(over="ignore"):
        keys = values.astype(np.float32).tolist()
    return [doc_id for _, doc_id in sorted(zip(keys, scores, strict=True), reverse=True)]


def by_query(rows: Iterable[tuple[str, str, float]], what: str) -> dict[str, dict[str, float]]:
    """Return query_id -> doc_id -> value of ``rows``; ``what`` names them in an error.

    Raises:
        DataError: a passage stands twice under one query.
    """
    found: dict[str, dict[str, float]] = {}
    for query_id, doc_id, value in rows:
        one = found.setdefault(query_id, {})
        if doc_id in one:
            raise DataError(f"{what}: query {query_id!r} names passage {doc_id!r} twice")
        one[doc_id] = value
    return found


def deep_enough(metrics: Sequence[str], k: int, names: str = "evaluate.metrics", dial: str = "retrieve.k") -> None:
    """Refuse metrics that look deeper into a run than its ``k`` passages a query; ``dial`` names k, ``names`` them.

    Raises:
        ParamError: one does.
    """
    for metric in metrics:
        if _cutoff(metric) > k:
            raise ParamError(f"{names}: {metric} looks {_cutoff(metric)} deep, and {dial}: received {k}; raise {dial}")


def deep_run(metrics: Sequence[str], qrels: Qrels, run: Run, *, what: str, listed: bool, lexical: bool) -> None:
    """Refuse metrics that look deeper than a run goes, where its corpus holds more passages than that.

    A run goes as deep as its deepest query. Its corpus holds what the run and ``qrels`` name, at least; an exhaustive
    search that reached its end names no other passage than those of each query. A lexical run leaves out passages
    without a common word, so it counts as cut only where most of its queries end at one depth.

    Args:
        metrics: such as ``nDCG@10``.
        qrels: query_id -> doc_id -> relevance.
        run: query_id -> doc_id -> score.
        what: the run's name in an error.
        listed: whether a query's judged passages alone are ranked.
        lexical: whether it is a BM25 run, by the stage bm25.

    Raises:
        ParamError: one does; the dial to turn.
    """
    lengths = [len(scores) for scores in run.values()]
    deepest, metric = max(lengths, default=0), max(metrics, key=_cutoff)
    if not deepest or _cutoff(metric) <= deepest or (lexical and 2 * lengths.count(deepest) <= max(len(lengths), 2)):
        return
    if listed:
        held = max(len(judged) for judged in qrels.values())
    else:
        held = len({doc_id for rows in (*run.values(), *qrels.values()) for doc_id in rows})
    if held > deepest:
        dial = "bm25.k" if lexical else "retrieve.k"
        raise ParamError(
            f"evaluate.metrics: {metric} looks {_cutoff(metric)} deep, and {what} ends at {deepest} of {held:,}"
            f" passages or more; raise {dial}"
        )


def _cutoff(metric: str) -> int:
    cutoff = metric.rpartition("@")[2]
    return int(cutoff) if cutoff.isdigit() else 0


def _ranx_name(metric: str) -> str:
    match = re.fullmatch(r"(\w+)@([1-9]\d*)", metric)
    if match is None or match[1] not in _RANX:
        raise ParamError(f"metric: {one_of(metric, [f'{name}@10' for name in _RANX])}, or with another number than 10")
    return f"{_RANX[match[1]]}@{match[2]}"


def _arrays(qrels: Qrels, run: Run, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Return relevant [Q, R, 2] and ranked [Q, depth, 2], rows of (passage number, value), best first.

    Passages are numbered within their query, relevant ones from 0; -1 is a passage that is not relevant, or padding.
    """
    relevant = [_ideal(judged) for judged in qrels.values()]
    width = max(1, *(len(rows) for rows in relevant))
    ideal = np.zeros((len(relevant), width, 2))
    ideal[:, :, 0] = -1.0
    ranked = np.zeros((len(relevant), depth, 2))
    ranked[:, :, 0] = -1.0
    for row, (query_id, rows) in enumerate(zip(qrels, relevant, strict=True)):
        number = {doc_id: index for index, (doc_id, _) in enumerate(rows)}
        ideal[row, : len(rows), 0] = np.arange(len(rows))
        ideal[row, : len(rows), 1] = [relevance for _, relevance in rows]
        found = [number.get(doc_id, -1) for doc_id in rank(run.get(query_id, {}))[:depth]]
        ranked[row, : len(found), 0] = found
    return ideal, ranked


def _ideal(judged: Mapping[str, int]) -> list[tuple[str, int]]:
    relevant = [(doc_id, relevance) for doc_id, relevance in judged.items() if relevance >= 1]
    return sorted(relevant, key=lambda row: -row[1])


def _evaluate(relevant: np.ndarray, ranked: np.ndarray, metrics: list[str]) -> dict[str, np.ndarray]:
    _caches()
    from ranx import evaluate

    results: dict[str, np.ndarray] = evaluate(relevant, ranked, metrics, return_mean=False, save_results_in_run=False)
    return results


def _caches() -> None:
    """Keep ranx and what it imports out of the user's home, which may be read-only; what is set already stays.

    numba caches compiled code beside ranx; where that may not be written, in ``.work/numba``. ir_datasets, which
    ranx imports and which makes folders at import, and matplotlib get folders in ``.work`` too.
    """
    places = {"IR_DATASETS_HOME": "ir_datasets", "MPLCONFIGDIR": "matplotlib"}
    spec = importlib.util.find_spec("ranx")
    if spec is not None and spec.origin is not None:
        compiled.keep(Path(spec.origin))
    for variable, folder in places.items():
        if variable not in os.environ:
            path = work_folder(folder)
            path.mkdir(parents=True, exist_ok=True)
            os.environ[variable] = str(path)
