"""Stage retrieve with a small random encoder: exact runs, shared corpora, targets, kept vectors, listed passages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graded.errors import DataError, MissingError, ParamError
from graded.formats import atomic, table, trec
from graded.retrieval.encoder import Encoder
from graded.stages import retrieve
from tests.retrieving import contents, run_stage, write_workspace
from tests.workspace import write_params


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


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many queries and passages were encoded."""
    counts = {"query": 0, "passage": 0}
    real = Encoder.encode

    def counted(self: Encoder, texts: list[str], kind: Any, **more: Any) -> Any:
        counts[kind] += len(texts)
        return real(self, texts, kind, **more)

    monkeypatch.setattr(Encoder, "encode", counted)
    return counts


def test_each_corpus_and_each_languages_queries_are_encoded_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    own, path = Path("data/benchmark/mono/corpus/fi.parquet"), Path("data/benchmark/mono/benchmark.json")
    own.parent.mkdir()
    own.write_bytes(Path("data/corpus/fi.parquet").read_bytes())
    shared = path.read_text(encoding="utf-8")
    assert shared.count("data/corpus/fi.parquet") == 1
    path.write_text(shared.replace("data/corpus/fi.parquet", str(own)), encoding="utf-8")
    run_stage(monkeypatch)
    assert counts["passage"] == 120, "a set's own corpus of the same bytes is the same corpus"
    path.write_text(shared, encoding="utf-8")
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


def test_what_is_missing_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    write_params(workspace, retrieve={"k": 10, "unit": 25, "index": "hnsw"})
    run_stage(monkeypatch)
    tags = [trec.run_tag(Path(f"data/run/base/{name}/fi-fi.trec")) for name in ("mono", "cross")]
    assert tags == ["graded-base", "graded-base-hnsw"], "listed passages are ranked exactly"


def test_listed_passages_are_encoded_once_for_all_directions(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    write_workspace(workspace, listed=True)
    asked = {
        (task.direction.query_lang, one.text) for task in retrieve.tasks(retrieve.BENCHMARK) for one in task.queries
    }
    run_stage(monkeypatch, "listed/base")
    assert counts == {"query": len(asked), "passage": 80}, "of five directions; 40 of 60 passages are listed by some"
    listed = contents(workspace / "listed")
    assert len(listed) == 5
    hits = [hit for hit in trec.read_run(workspace / "listed/base/cross/ar-fi.trec") if hit.query_id == "q1"]
    assert {int(hit.doc_id[2:]) % 3 for hit in hits} == {1, 2}
    assert 1 not in {int(hit.doc_id[2:]) % 5 for hit in hits}, "those that q1 does not list"
    run_stage(monkeypatch, "listed/base")
    assert counts["passage"] == 80, "a second run finds all of it in .work"
    path = Path("data/benchmark/mono/benchmark.json")
    path.write_text(path.read_text(encoding="utf-8").replace("listed", "collection"), encoding="utf-8")
    run_stage(monkeypatch, "mixed/base")
    assert counts["passage"] == 80 + 60, "one encoding of fi for both protocols"
    mixed = contents(workspace / "mixed")
    ranked = [[line.split()[:4] for line in runs["base/cross/fi-fi.trec"].splitlines()] for runs in (listed, mixed)]
    assert ranked[0] == ranked[1]
    write_params(workspace, retrieve={"k": 10, "unit": 25, "embeddings": "keep"})
    run_stage(monkeypatch, "kept/base")
    kept = counts["passage"]
    assert kept == 140 + 120, "kept: all of both corpora"
    path.write_text(path.read_text(encoding="utf-8").replace("collection", "listed"), encoding="utf-8")
    run_stage(monkeypatch, "kept/base")
    assert counts["passage"] == kept
