"""Our measures are trec_eval's: values equal pytrec_eval's, with and without ties."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from graded.errors import DataError, ParamError
from graded.retrieval import measures

#: One worker imports ranx for all of them.
pytestmark = pytest.mark.xdist_group("ranx")

TREC = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG@100": "ndcg_cut_100",
    "recall@100": "recall_100",
    "recall@3": "recall_3",
    "MRR@10": "recip_rank",
    "MRR@100": "recip_rank",
}

ids = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=4)
#: Few distinct scores, so that most lists hold ties; some that only float32 makes equal.
tied = st.sampled_from([0.0, 1.0, 1.0 + 1e-9, 1.0 - 1e-9, -3.5, 0.25])
free = st.floats(-1e6, 1e6, width=32)


def peer(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """Return pytrec_eval's values; MRR is cut by hand, since trec_eval's recip_rank has no cut."""
    found = pytrec_eval.RelevanceEvaluator(qrels, set(TREC.values())).evaluate(run)
    values: dict[str, list[float]] = {metric: [] for metric in TREC}
    for query_id in qrels:
        for metric, name in TREC.items():
            value = found.get(query_id, {}).get(name, 0.0)
            cut = int(metric.partition("@")[2])
            if metric.startswith("MRR") and value < 1 / cut - 1e-12:
                value = 0.0
            values[metric].append(value)
    return values


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_equals_pytrec_eval(data: st.DataObject) -> None:
    qrels, run = {}, {}
    for query_id in data.draw(st.lists(ids, min_size=1, max_size=4, unique=True)):
        docs = data.draw(st.lists(ids, min_size=1, max_size=14, unique=True))
        judged = data.draw(st.lists(st.sampled_from(docs), min_size=1, unique=True))
        qrels[query_id] = {doc_id: data.draw(st.integers(-1, 6)) for doc_id in judged}
        scores = data.draw(st.sampled_from([tied, free]))
        kept = data.draw(st.lists(st.sampled_from(docs), unique=True))
        if kept:
            run[query_id] = {doc_id: data.draw(scores) for doc_id in kept}
    ours = measures.score(qrels, run, list(TREC))
    for metric, values in peer(qrels, run).items():
        np.testing.assert_allclose(ours[metric], values, rtol=0, atol=1e-9, err_msg=metric)


def test_equals_pytrec_eval_on_long_runs_full_of_ties() -> None:
    rng = np.random.default_rng(5)
    qrels, run = {}, {}
    for query in range(300):
        docs = rng.permutation(400)
        qrels[f"q{query}"] = {f"d{doc}": int(rng.integers(0, 7)) for doc in docs[: rng.integers(1, 120)]}
        run[f"q{query}"] = {f"d{doc}": float(rng.integers(0, 20)) / 7 for doc in rng.permutation(400)[:100]}
    ours = measures.score(qrels, run, list(TREC))
    for metric, values in peer(qrels, run).items():
        np.testing.assert_allclose(ours[metric], values, rtol=0, atol=1e-9, err_msg=metric)
        assert np.mean(values) > 0


def test_exponential_gain_is_burges() -> None:
    qrels = {"q": {"a": 3, "b": 1}}
    run = {"q": {"b": 2.0, "a": 1.0}}
    expected = (1 + 7 / math.log2(3)) / (7 + 1 / math.log2(3))
    got = measures.score(qrels, run, ["nDCG_exp@10", "nDCG@10"])
    assert got["nDCG_exp@10"][0] == pytest.approx(expected, abs=1e-12)
    assert got["nDCG@10"][0] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)), abs=1e-12)


def test_one_metric_alone_and_no_query() -> None:
    assert measures.score({"q": {"a": 1}}, {"q": {"a": 1.0}}, ["nDCG@1"])["nDCG@1"].tolist() == [1.0]
    assert measures.score({}, {}, ["nDCG@1"])["nDCG@1"].shape == (0,)


def test_ties_go_to_the_later_id() -> None:
    assert measures.rank({"a": 1.0, "c": 1.0, "b": 1.0, "d": 0.5, "e": 2.0}) == ["e", "c", "b", "a", "d"]


@pytest.mark.parametrize("metric", ["ndcg@10", "nDCG", "nDCG@0", "nDCG@ten", "MAP@10"])
def test_an_unknown_metric_is_named(metric: str) -> None:
    with pytest.raises(ParamError, match=metric):
        measures.score({"q": {"a": 1}}, {}, [metric])


def test_a_score_that_is_no_number_is_named() -> None:
    with pytest.raises(DataError, match="'a' has score nan"):
        measures.rank({"a": float("nan"), "b": 1.0})


def test_a_passage_twice_under_one_query_is_named() -> None:
    with pytest.raises(DataError, match="'q' names passage 'd' twice"):
        measures.by_query([("q", "d", 1.0), ("p", "d", 1.0), ("q", "d", 0.5)], "run")


@pytest.mark.slow
def test_compiled_code_is_kept_where_the_installation_is_read_only(tmp_path: Path) -> None:
    """The environment on a read-only mount and no home: compiled once, into .work/numba, and found there again."""
    code = "from graded.retrieval import measures as m; print(m.score({'q': {'a': 1}}, {'q': {'a': 1.0}})['nDCG@10'])"
    mount = f"mount --bind {sys.prefix} {sys.prefix} && mount -o remount,ro,bind {sys.prefix}"
    enter = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*enter, mount], capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    environment = {"HOME": "/proc/none", "PATH": os.environ["PATH"]}
    kept = []
    for _ in range(2):
        done = subprocess.run(
            [*enter, f'{mount} && exec "$@"', "sh", sys.executable, "-c", code],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout == "[1.]\n", done.stderr
        kept.append({path.name: path.stat().st_mtime_ns for path in (tmp_path / ".work/numba").rglob("*.nbc")})
    assert kept[0]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_a_read_only_home_does_not_matter(tmp_path: Path) -> None:
    code = "from graded.retrieval import measures as m; print(m.score({'q': {'a': 1}}, {'q': {'a': 1.0}})['nDCG@10'])"
    hidden = ("HOME", "IR_DATASETS_HOME", "MPLCONFIGDIR")
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"HOME": "/proc/none"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "[1.]\n", done.stderr
