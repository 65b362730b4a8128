"""Stage evaluate on a folder of two languages, scored by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError, ParamError
from graded.formats import atomic, table, trec
from graded.stages import evaluate

#: One worker imports ranx for all of them.
pytestmark = pytest.mark.xdist_group("ranx")

PARAMS = "tau: 2\nlanguages: [fi, ar]\nseed: 13\nevaluate: {{resamples: 200{extra}}}\n"

#: direction -> query -> passage -> relevance
QRELS = {
    "fi-fi": {"q1": {"d1": 3, "d2": 0}, "q2": {"d3": 1, "d4": 2}},
    "ar-ar": {"q1": {"d1": 1}, "q2": {"d4": 1}},
    "fi-ar": {"q1": {"d1": 1}},
}
#: system -> direction -> query -> passages, best first
RUNS: dict[str, dict[str, dict[str, list[str]]]] = {
    "base": {"fi-fi": {"q1": ["d2", "d1"], "q2": ["d4", "d3"]}, "ar-ar": {"q1": ["d9", "d1"]}, "fi-ar": {"q1": ["d9"]}},
    "tuned": {
        "fi-fi": {"q1": ["d1"], "q2": ["d3", "d4"]},
        "ar-ar": {"q1": ["d1"], "q2": ["d4"]},
        "fi-ar": {"q1": ["d1"]},
    },
}

#: The rest of a run of 100 passages a query, none of them relevant.
FILLERS = [f"x{number:02}" for number in range(100)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.format(extra=""))
    directions = [dict(zip(("query_lang", "doc_lang"), name.split("-"), strict=True)) for name in QRELS]
    atomic.write_json(Path("data/benchmark/toy/benchmark.json"), {"name": "toy", "directions": directions})
    for name, judged in QRELS.items():
        rows = [(query, doc, value) for query, docs in judged.items() for doc, value in docs.items()]
        table.write_rows(Path(f"data/benchmark/toy/{name}/qrels.parquet"), table.QRELS, rows)
    for system, runs in RUNS.items():
        for name, lists in runs.items():
            hits = (
                trec.Hit(query, doc, rank, 1 / rank)
                for query, docs in lists.items()
                for rank, doc in enumerate([*docs, *FILLERS[len(docs) :]], 1)
            )
            trec.write_run(Path(f"data/run/{system}/toy/{name}.trec"), hits, system)
    return tmp_path


def test_values_by_hand(folder: Path) -> None:
    evaluate.main()
    toy = json.loads(Path("metrics/evaluate.json").read_text())["toy"]
    assert list(toy) == ["fi", "ar", "mean", "fi-ar"]
    swapped = (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))
    assert toy["fi"]["nDCG@10"] == pytest.approx((1 + swapped) / 2, abs=1e-6)
    assert toy["fi"]["base"]["nDCG@10"] == pytest.approx((1 / math.log2(3) + 1) / 2, abs=1e-6)
    assert toy["fi"]["MRR@10"] == 1
    assert toy["fi"]["base"]["MRR@10"] == 0.75
    assert toy["ar"]["base"]["recall@100"] == 0.5, "a query that the run lacks counts 0"
    assert toy["fi-ar"]["nDCG@10"] == 1
    assert toy["fi-ar"]["base"]["nDCG@10"] == 0
    assert toy["mean"]["recall@100"] == 1
    assert toy["fi"]["queries"] == 2
    gap = toy["fi"]["difference"]["nDCG@10"]
    assert gap["mean"] == pytest.approx(toy["fi"]["nDCG@10"] - toy["fi"]["base"]["nDCG@10"], abs=2e-6)
    assert gap["low"] <= gap["mean"] <= gap["high"]
    assert gap["p"] <= gap["p_holm"] <= 1


def test_bm25_stands_beside_where_it_has_a_run(folder: Path) -> None:
    trec.write_run(Path("data/bm25/toy/fi-fi.trec"), [trec.Hit("q1", "d1", 1, 2.0)], "bm25")
    evaluate.main()
    toy = json.loads(Path("metrics/evaluate.json").read_text())["toy"]
    assert toy["fi"]["bm25"]["MRR@10"] == 0.5
    assert "bm25" not in toy["ar"]
    assert "bm25" not in toy["mean"]
    trec.write_run(Path("data/bm25/toy/ar-ar.trec"), [], "bm25")
    evaluate.main()
    assert json.loads(Path("metrics/evaluate.json").read_text())["toy"]["mean"]["bm25"]["MRR@10"] == 0.25


def test_gain_and_pool_are_in_the_metric_s_name(folder: Path) -> None:
    path = Path("data/benchmark/toy/benchmark.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"gain": "both", "pool": 100}))
    evaluate.main()
    fi = json.loads(Path("metrics/evaluate.json").read_text())["toy"]["fi"]
    assert "nDCG@10" not in fi
    assert fi["nDCG@10-pool"] != fi["nDCG_exp@10-pool"]
    assert set(fi["difference"]) == {"nDCG@10-pool", "nDCG_exp@10-pool"}
    assert list(fi["base"]).count("MRR@10-pool") == 1


def test_an_approximate_index_is_in_the_metric_s_name(folder: Path) -> None:
    for path in Path("data/run/tuned").rglob("*.trec"):
        path.write_text(path.read_text().replace(" tuned\n", " graded-tuned-hnsw\n"))
    evaluate.main()
    fi = json.loads(Path("metrics/evaluate.json").read_text())["toy"]["fi"]
    assert "nDCG@10" not in fi
    assert fi["nDCG@10-hnsw"] > fi["base"]["nDCG@10-hnsw"]


def test_bm25_and_listed_passages_are_exact_whatever_the_index(folder: Path) -> None:
    for path in Path("data/run/tuned").rglob("*.trec"):
        path.write_text(path.read_text().replace(" tuned\n", " graded-tuned-hnsw\n"))
    for lang in ("fi", "ar"):
        trec.write_run(Path(f"data/bm25/toy/{lang}-{lang}.trec"), [trec.Hit("q1", "d1", 1, 2.0)], "bm25")
    evaluate.main()
    toy = json.loads(Path("metrics/evaluate.json").read_text())["toy"]
    assert "nDCG@10-hnsw" in toy["mean"]
    assert [next(iter(toy[part]["bm25"])) for part in ("fi", "mean")] == ["nDCG@10"] * 2
    path = Path("data/benchmark/toy/benchmark.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol": "listed"}))
    evaluate.main()
    assert "nDCG@10" in json.loads(Path("metrics/evaluate.json").read_text())["toy"]["fi"]


def cut(path: Path, depth: int, queries: int = 2) -> None:
    hits = [
        trec.Hit(f"q{query}", FILLERS[query + place], place, -place)
        for query in range(1, queries + 1)
        for place in range(depth)
    ]
    trec.write_run(path, hits, "any")


def test_metrics_deeper_than_a_run_are_refused(folder: Path) -> None:
    cut(Path("data/bm25/toy/fi-fi.trec"), 20)
    with pytest.raises(ParamError, match=r"looks 100 deep, and data/bm25/toy/fi-fi\.trec ends at 20 of .*bm25\.k$"):
        evaluate.main()
    Path("data/bm25/toy/fi-fi.trec").unlink()
    cut(Path("data/run/base/toy/ar-ar.trec"), 20)
    with pytest.raises(
        ParamError, match=r"base/toy/ar-ar\.trec ends at 20 of 2\d passages or more; raise retrieve\.k$"
    ):
        evaluate.main()
    assert not Path("metrics/evaluate.json").exists()
    (folder / "params.yaml").write_text(PARAMS.format(extra=", metrics: [nDCG@20], compare: [MRR@10]"))
    evaluate.main()


def test_a_run_of_a_whole_small_corpus_is_deep_enough(folder: Path) -> None:
    rows = [trec.Hit(query, doc, 0, 1.0) for query in ("q1", "q2") for doc in ("d1", "d4", "d5")]
    trec.write_run(Path("data/run/base/toy/ar-ar.trec"), rows, "base")
    evaluate.main()
    assert json.loads(Path("metrics/evaluate.json").read_text())["toy"]["ar"]["base"]["recall@100"] == 1


def test_rows_a_query(folder: Path) -> None:
    evaluate.main()
    rows = list(table.read_rows(Path("data/evaluate/per_query.parquet")))
    assert ("toy", "fi", "fi", "base", "q1", "MRR@10", 0.5) in rows
    assert ("toy", "ar", "ar", "base", "q2", "nDCG@10", 0.0) in rows
    assert len(rows) == 5 * 2 * (2 + 2 + 1)


def test_the_same_twice(folder: Path) -> None:
    evaluate.main()
    first = [Path(name).read_bytes() for name in ("metrics/evaluate.json", "data/evaluate/per_query.parquet")]
    evaluate.main()
    assert first == [Path(name).read_bytes() for name in ("metrics/evaluate.json", "data/evaluate/per_query.parquet")]


def test_directions_that_were_not_to_be_searched_are_left_out(folder: Path) -> None:
    atomic.write_json(Path("data/run/tuned/searched.json"), {"toy": ["fi-fi"]})
    for name in ("fi-ar", "ar-ar"):
        Path(f"data/run/tuned/toy/{name}.trec").unlink()
    evaluate.main()
    assert list(json.loads(Path("metrics/evaluate.json").read_text())["toy"]) == ["fi"]


@pytest.mark.parametrize(
    ("name", "stage"),
    [("data/benchmark/toy/benchmark.json", "benchmark"), ("data/run/tuned/searched.json", "retrieve@tuned")],
)
def test_a_half_written_record_is_one_line(folder: Path, name: str, stage: str) -> None:
    Path(name).write_text('{"toy": ["fi-fi', encoding="utf-8")
    with pytest.raises(DataError, match=rf"^{name} is not JSON .*; 'dvc repro -f {stage}' writes it again$"):
        evaluate.main()


def test_a_run_that_is_not_there_is_named(folder: Path) -> None:
    Path("data/run/tuned/toy/fi-ar.trec").unlink()
    with pytest.raises(MissingError, match=r"tuned/toy/fi-ar\.trec"):
        evaluate.main()
    assert not Path("metrics/evaluate.json").exists()


def test_a_run_that_repeats_a_passage_is_named(folder: Path) -> None:
    with Path("data/run/base/toy/ar-ar.trec").open("a") as file:
        file.write("q1 Q0 d1 3 0.1 base\n")
    with pytest.raises(DataError, match="'q1' names passage 'd1' twice"):
        evaluate.main()


@pytest.mark.parametrize(
    ("extra", "named"),
    [(", metrics: [nDGC@10]", "nDGC@10"), (", resamples: 1", "resamples"), (", sead: 1", "evaluate.sead")],
)
def test_a_wrong_param_is_named(folder: Path, extra: str, named: str) -> None:
    text = PARAMS.format(extra=extra) if "resamples" not in extra else PARAMS.format(extra="").replace("200", "1")
    (folder / "params.yaml").write_text(text)
    with pytest.raises(ParamError, match=named):
        evaluate.main()


def test_no_benchmark(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="dvc repro benchmark"):
        list(evaluate.benchmarks(tmp_path))
