"""Stage retrieve with a small random encoder: runs, shared corpora, restarts, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graded.errors import ParamError
from graded.formats import atomic, table, trec
from graded.retrieval.encoder import Encoder
from graded.retrieval.search_corpus import Searcher
from graded.stages import retrieve
from tests.encoders import random_encoder
from tests.training import free_port
from tests.workspace import write_params

WORDS = ["lumi", "järvi", "metsä", "kaupunki", "katu", "silta", "talvi", "kesä", "joki", "vuori"]


def text(seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, 6))


def write_workspace(folder: Path, passages: int = 60, unit: int = 25) -> None:
    """Two languages, one benchmark with all four directions and one with fi alone, sharing the corpora."""
    write_params(folder, retrieve={"k": 10, "unit": unit})
    random_encoder(folder / "data/encoder", "bert")
    for number, lang in enumerate(["fi", "ar"]):
        rows = [(f"{lang}{index}", "", text(1000 * number + index)) for index in range(passages)]
        table.write_rows(folder / f"data/corpus/{lang}.parquet", table.PASSAGES, rows)
    for name, langs in {"cross": ["fi", "ar"], "mono": ["fi"]}.items():
        directions = [(one, other) for one in langs for other in langs]
        for one, other in directions:
            queries = [(f"q{index}", text(7 * index + len(one + other + name))) for index in range(5)]
            table.write_rows(folder / f"data/benchmark/{name}/{one}-{other}/queries.parquet", table.QUERIES, queries)
        entries = [
            {"query_lang": one, "doc_lang": other, "corpus": f"data/corpus/{other}.parquet"}
            for one, other in directions
        ]
        atomic.write_json(folder / f"data/benchmark/{name}/benchmark.json", {"name": name, "directions": entries})


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_workspace(tmp_path)
    return tmp_path


def run_stage(monkeypatch: pytest.MonkeyPatch, run: str = "data/run/base", target: str = "all") -> None:
    monkeypatch.setattr(sys, "argv", ["retrieve", "--encoder", "data/encoder", "--run", run, "--target", target])
    retrieve.main()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.trec"))}


def test_runs_hold_the_exact_best(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(monkeypatch)
    encoder = Encoder.load(workspace / "data/encoder")
    found = contents(workspace / "data/run/base")
    assert list(found) == [
        "cross/ar-ar.trec", "cross/ar-fi.trec", "cross/fi-ar.trec", "cross/fi-fi.trec", "mono/fi-fi.trec",
    ]  # fmt: skip
    rows = list(table.read_rows(Path("data/corpus/ar.parquet"), "doc_id", "text"))
    vectors = encoder.encode([text for _, text in rows], "passage").astype(np.float64)
    queries = list(table.read_rows(Path("data/benchmark/cross/fi-ar/queries.parquet"), "query_id", "text"))
    hits = list(trec.read_run(Path("data/run/base/cross/fi-ar.trec")))
    assert [hit.rank for hit in hits] == list(range(1, 11)) * 5
    for number, (query_id, query_text) in enumerate(queries):
        scores = vectors @ encoder.encode([query_text], "query")[0].astype(np.float64)
        mine = hits[10 * number : 10 * number + 10]
        assert {hit.query_id for hit in mine} == {query_id}
        assert [hit.score for hit in mine] == pytest.approx(sorted(scores, reverse=True)[:10], abs=1e-6)
        order = [(hit.score, hit.doc_id) for hit in mine]
        assert order == sorted(order, reverse=True), "ties: doc_id descending, as trec_eval"


def test_each_corpus_and_each_languages_queries_are_encoded_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"query": 0, "passage": 0}
    real = Encoder.encode

    def counted(self: Encoder, texts: list[str], kind: Any, **more: Any) -> Any:
        counts[kind] += len(texts)
        return real(self, texts, kind, **more)

    monkeypatch.setattr(Encoder, "encode", counted)
    run_stage(monkeypatch)
    assert counts["passage"] == 120
    texts = {
        (task.direction.query_lang, query.text) for task in retrieve.tasks(retrieve.BENCHMARK) for query in task.queries
    }
    assert counts["query"] == len(texts)
    before = contents(workspace / "data/run/base")
    run_stage(monkeypatch)
    assert counts == {"query": len(texts), "passage": 120}, "a second run finds all of it in .work"
    assert contents(workspace / "data/run/base") == before
    rows = [("x", "", "uusi teksti")]
    table.write_rows(workspace / "data/corpus/fi.parquet", table.PASSAGES, rows)
    run_stage(monkeypatch)
    assert counts["passage"] == 121, "the changed corpus alone is encoded again"


def test_a_target_is_searched_for_alone(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(monkeypatch, "whole/run")
    assert not (workspace / "whole/run/searched.json").exists()
    write_params(workspace, retrieve={"k": 10, "unit": 25, "sets": ["cross"], "directions": "target"})
    run_stage(monkeypatch, "part/run", "fi")
    assert list(contents(workspace / "part")) == ["run/cross/fi-ar.trec", "run/cross/fi-fi.trec"]
    assert json.loads((workspace / "part/run/searched.json").read_text()) == {"cross": ["fi-fi", "fi-ar"]}
    assert contents(workspace / "part").items() <= contents(workspace / "whole").items()
    run_stage(monkeypatch, "base", "all")
    assert len(contents(workspace / "base")) == 4, "the base has no target"
    with pytest.raises(ParamError, match="leaves nothing: no query in 'sv' in cross"):
        run_stage(monkeypatch, "none", "sv")
    write_params(workspace, retrieve={"sets": ["mirakl"]})
    with pytest.raises(ParamError, match=r"retrieve.sets: received 'mirakl'; legal: cross, mono"):
        run_stage(monkeypatch, "none")


def test_a_stopped_run_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that were finished before the stop are not encoded again."""
    seen: list[int] = []
    real = Searcher._search_unit

    def stops(self: Searcher, unit: Any, *args: Any) -> Any:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(unit.start)
        return real(self, unit, *args)

    monkeypatch.setattr(Searcher, "_search_unit", stops)
    with pytest.raises(KeyboardInterrupt):
        run_stage(monkeypatch)
    assert not (workspace / "data/run").exists()
    again: list[int] = []

    def counted(self: Searcher, unit: Any, *args: Any) -> Any:
        again.append(unit.start)
        return real(self, unit, *args)

    monkeypatch.setattr(Searcher, "_search_unit", counted)
    run_stage(monkeypatch)
    assert len(again) == 6 - len(seen)


def test_the_cut_changes_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores differ by the encoder's own rounding at most; the order of clear differences stays."""
    run_stage(monkeypatch, "one")
    write_params(workspace, retrieve={"k": 10, "unit": 1000})
    run_stage(monkeypatch, "two")
    for name in contents(workspace / "one"):
        one, two = (list(trec.read_run(workspace / run / name)) for run in ("one", "two"))
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in two], abs=1e-5)


def test_kept_vectors_serve_other_queries(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(monkeypatch, "dropped/run")
    write_params(workspace, retrieve={"k": 10, "unit": 25, "embeddings": "keep"})
    run_stage(monkeypatch, "kept/run")
    for name, lines in contents(workspace / "dropped").items():
        kept = list(trec.read_run(workspace / "kept" / name))
        scores = [float(line.split()[4]) for line in lines.decode().splitlines()]
        assert [hit.score for hit in kept] == pytest.approx(scores, abs=2e-3), "float16"
    vectors = [np.load(path, mmap_mode="r") for path in sorted((workspace / ".work/vectors").glob("*.npy"))]
    assert {(one.dtype, one.shape[1]) for one in vectors} == {(np.dtype(np.float16), 48)}
    assert sum(len(one) for one in vectors) == 120
    first = contents(workspace / "kept")
    for path in (workspace / ".work/hits").iterdir():
        path.unlink()
    real = Encoder.encode

    def queries_alone(self: Encoder, texts: list[str], kind: Any, **more: Any) -> Any:
        assert kind == "query"
        return real(self, texts, kind, **more)

    monkeypatch.setattr(Encoder, "encode", queries_alone)
    run_stage(monkeypatch, "kept/run")
    assert contents(workspace / "kept") == first
    table.write_rows(
        workspace / "data/benchmark/mono/fi-fi/queries.parquet", table.QUERIES, [("new", "kaupunki talvi")]
    )
    run_stage(monkeypatch, "kept/run")
    assert len(list(trec.read_run(workspace / "kept/run/mono/fi-fi.trec"))) == 10


@pytest.mark.parametrize("index", ["hnsw", "ivf"])
def test_an_approximate_run_says_so(workspace: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    run_stage(monkeypatch, "exact/base")
    write_params(workspace, retrieve={"k": 10, "unit": 25, "index": index})
    run_stage(monkeypatch, "near/base")
    lines = (workspace / "near/base/cross/fi-ar.trec").read_text().splitlines()
    assert {line.split()[5] for line in lines} == {f"graded-base-{index}"}
    exact = {tuple(line.split()[:3:2]) for line in (workspace / "exact/base/cross/fi-ar.trec").read_text().splitlines()}
    assert len(exact & {tuple(line.split()[:3:2]) for line in lines}) > 0.8 * len(exact)


STAGE = [sys.executable, "-m", "graded.stages.retrieve", "--encoder", "data/encoder", "--run"]


def alone(rank: int = 0, world: int = 1) -> dict[str, str]:
    """The environment of one process of several; one thread."""
    return {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"}


def test_killed_and_started_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the middle: what was finished is not made again, and the result is that of a run without a stop."""
    write_workspace(workspace, passages=400, unit=10)
    process = subprocess.Popen([*STAGE, "run"], env=alone())
    folder = workspace / ".work/hits"
    while not folder.is_dir() or len(list(folder.glob("[0-9a-f]*.parquet"))) < 5:
        assert process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.002)
    process.kill()
    process.wait()
    finished = len(list(folder.glob("[0-9a-f]*.parquet")))
    assert finished < 80
    assert not (workspace / "run").exists()
    units: list[int] = []
    real = Searcher._search_unit

    def counted(self: Searcher, unit: Any, *args: Any) -> Any:
        units.append(unit.start)
        return real(self, unit, *args)

    monkeypatch.setattr(Searcher, "_search_unit", counted)
    run_stage(monkeypatch, "again/run")
    assert len(units) == 80 - finished
    monkeypatch.setenv("DVC_ROOT", str(workspace / "elsewhere"))
    run_stage(monkeypatch, "fresh/run")
    assert contents(workspace / "again") == contents(workspace / "fresh")


@pytest.mark.slow
def test_one_of_two_is_killed_and_the_other_finishes(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_workspace(workspace, passages=400, unit=10)
    both = [subprocess.Popen([*STAGE, "both/run"], env=alone(rank, 2)) for rank in range(2)]
    folder = workspace / ".work/hits"
    while not folder.is_dir() or len(list(folder.glob("[0-9a-f]*.parquet"))) < 5:
        time.sleep(0.002)
    both[1].kill()
    assert both[0].wait(timeout=120) == 0
    both[1].wait()
    monkeypatch.setenv("DVC_ROOT", str(workspace / "elsewhere"))
    run_stage(monkeypatch, "alone/run")
    assert contents(workspace / "alone") == contents(workspace / "both")


@pytest.mark.slow
def test_under_accelerate_launch(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processes, as on four GPUs; without GPUs each takes a share of the cores."""
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "4", "--main_process_port"]
    command = [sys.executable, "-m", *launcher, str(free_port()), *STAGE[1:], "four/run"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.count("has done its part") == 3
    monkeypatch.setenv("DVC_ROOT", str(workspace / "elsewhere"))
    run_stage(monkeypatch, "one/run")
    assert contents(workspace / "four") == contents(workspace / "one")


def test_what_is_missing_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graded.errors import DataError, MissingError

    (workspace / "data/corpus/ar.parquet").unlink()
    with pytest.raises(MissingError, match=r"no data/corpus/ar\.parquet"):
        run_stage(monkeypatch)
    (workspace / "data/benchmark/mono/benchmark.json").write_text("{}")
    with pytest.raises(DataError, match=r"mono/benchmark\.json"):
        run_stage(monkeypatch)
    with pytest.raises(MissingError, match="no benchmark under nowhere"):
        retrieve.tasks(Path("nowhere"))


def test_listed_passages_alone_are_ranked(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(monkeypatch)
    whole = [hit for hit in trec.read_run(Path("data/run/base/mono/fi-fi.trec")) if hit.query_id == "q0"]
    kept = [whole[6].doc_id, whole[1].doc_id]
    rows = [(f"q{index}", doc_id, 1) for index in range(5) for doc_id in kept]
    table.write_rows(Path("data/benchmark/mono/fi-fi/qrels.parquet"), table.QRELS, rows)
    path = Path("data/benchmark/mono/benchmark.json")
    record = json.loads(path.read_text())
    atomic.write_json(path, {**record, "protocol": "listed"})
    run_stage(monkeypatch)
    found = [hit for hit in trec.read_run(Path("data/run/base/mono/fi-fi.trec")) if hit.query_id == "q0"]
    assert [hit.doc_id for hit in found] == kept[::-1]
    np.testing.assert_allclose([hit.score for hit in found], [whole[1].score, whole[6].score], atol=1e-6)
