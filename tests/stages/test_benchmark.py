"""Stage benchmark: directions, cross-lingual judgements, sets of their own passages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError, ParamError
from graded.formats import table, trec
from graded.stages import benchmark
from tests.workspace import write_beir, write_params

PASSAGES = [("d1", "", "a"), ("d2", "", "b")]


@pytest.fixture
def workspace(here: Path) -> Path:
    for lang, extra in (("fi", []), ("ar", [("q3", "d2", 2)])):
        queries = [("q1", f"{lang} one"), ("q2", f"{lang} two")] + [("q3", f"{lang} three")] * bool(extra)
        judged = [("q1", "d1", 3), ("q1", "d2", 0), ("q2", "d2", 0), *extra]
        write_beir(here / "texts" / lang, PASSAGES, queries, {"test": judged, "dev": judged[:1]})
        table.write_rows(Path(f"data/corpus/{lang}.parquet"), table.PASSAGES, PASSAGES)
    return here


def chosen(workspace: Path, **one: object) -> None:
    write_params(workspace, benchmark={"path": "texts", "sets": {"small": one}})


def test_only_queries_with_a_relevant_passage_are_kept_and_judged_zeros_too(workspace: Path) -> None:
    chosen(workspace)
    benchmark.main()
    assert list(table.read_rows(Path("data/benchmark/small/fi-fi/queries.parquet"))) == [("q1", "fi one")]
    assert list(table.read_rows(Path("data/benchmark/small/fi-fi/qrels.parquet"))) == [("q1", "d1", 3), ("q1", "d2", 0)]
    assert not Path("data/benchmark/small/fi-ar").exists()


def test_cross_lingual_judges_by_the_passages_language(workspace: Path) -> None:
    chosen(workspace, cross_lingual=True)
    benchmark.main()
    record = json.loads(Path("data/benchmark/small/benchmark.json").read_text(encoding="utf-8"))
    names = [(one["query_lang"], one["doc_lang"], one["corpus"]) for one in record["directions"]]
    assert names == [(q, d, f"data/corpus/{d}.parquet") for q in ("fi", "ar") for d in ("fi", "ar")]
    # Finnish lacks q3: Arabic's judgement of it counts only for the queries that Finnish has, and the other way round.
    assert [row[0] for row in table.read_rows(Path("data/benchmark/small/fi-ar/queries.parquet"))] == ["q1"]
    assert [row[0] for row in table.read_rows(Path("data/benchmark/small/ar-fi/queries.parquet"))] == ["q1"]
    assert [row[0] for row in table.read_rows(Path("data/benchmark/small/ar-ar/queries.parquet"))] == ["q1", "q3"]


def test_a_set_with_passages_of_its_own_carries_them(workspace: Path) -> None:
    chosen(workspace, corpus="own", folder={"ar": "ar"}, role="dev")
    benchmark.main()
    record = json.loads(Path("data/benchmark/small/benchmark.json").read_text(encoding="utf-8"))
    assert record["role"] == "dev"
    assert [one["corpus"] for one in record["directions"]] == ["data/benchmark/small/corpus/ar.parquet"]
    assert table.count_rows(Path("data/benchmark/small/corpus/ar.parquet")) == 2


def test_bad_settings_are_one_line_and_leave_nothing(workspace: Path) -> None:
    write_params(workspace, benchmark={"path": "texts", "sets": {"../evil": {}}})
    with pytest.raises(ParamError, match="letters, digits"):
        benchmark.main()
    chosen(workspace, folder={"en": "en"})
    with pytest.raises(ParamError, match="none of the sets has a folder"):
        benchmark.main()
    chosen(workspace, splitt="test")
    with pytest.raises(ParamError, match=r"no stage reads benchmark\.sets\.small\.splitt"):
        benchmark.main()
    write_beir(workspace / "texts" / "fi", PASSAGES, [("q1", "x")], {"test": [("q1", "d1", 1), ("q1", "d1", 3)]})
    chosen(workspace)
    with pytest.raises(DataError, match="more than once"):
        benchmark.main()
    assert not Path("data/benchmark").exists()


def test_judgements_of_what_is_not_there(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = [("q1", "d1", 3), ("q1", "d9", 1), ("q7", "d2", 1)]
    write_beir(workspace / "texts" / "fi", PASSAGES, [("q1", "x")], {"test": judged})
    chosen(workspace)
    with pytest.raises(DataError, match=r"1 judgement names queries that are not there, the first 'q7'.*unknown: drop"):
        benchmark.main()
    write_beir(workspace / "texts" / "fi", PASSAGES, [("q1", "x")], {"test": judged[:2]})
    with pytest.raises(DataError, match=r"benchmark small fi: 1 judgement names passages .* the first 'd9'"):
        benchmark.main()
    chosen(workspace, unknown="drop")
    benchmark.main()
    assert "the first 'd9'; dropped" in capsys.readouterr().out
    assert list(table.read_rows(Path("data/benchmark/small/fi-fi/qrels.parquet"))) == [("q1", "d1", 3)]


def test_a_shared_corpus_that_is_not_there(workspace: Path) -> None:
    Path("data/corpus/fi.parquet").unlink()
    chosen(workspace)
    with pytest.raises(MissingError, match="'dvc repro corpus' makes it"):
        benchmark.main()


def test_a_pool_without_runs_is_refused(workspace: Path) -> None:
    write_params(workspace, benchmark={"path": "texts", "pool": "both", "sets": {"small": {}}})
    with pytest.raises(ParamError, match=r"benchmark\.pool: received 'both', and no set has pool_runs; legal: full"):
        benchmark.main()
    write_params(workspace, benchmark={"path": "texts", "pool": "both", "sets": {"small": {"pool_runs": "pool"}}})
    with pytest.raises(
        MissingError, match=r"no texts/pool/fi-fi\.trec for the pool of small: .*cp data/run/base/small"
    ):
        benchmark.main()
    assert not Path("data/benchmark").exists()


def test_a_pool_holds_what_is_judged_and_the_first_hits(workspace: Path) -> None:
    rows = [(f"d{number}", "", "x") for number in range(1, 9)]
    for lang in ("fi", "ar"):
        table.write_rows(Path(f"data/corpus/{lang}.parquet"), table.PASSAGES, rows)
        order = ["d8", "d5", "d1", "d7"]  # of equal scores the last doc_id is first; ranks say nothing
        scores = dict(zip(order, (0.5, 1.0, 0.75, 0.75), strict=True))
        ranked = [trec.Hit(query, doc_id, 0, score) for query in ("q1", "q3") for doc_id, score in scores.items()]
        trec.write_run(workspace / f"texts/pool/{lang}-{lang}.trec", ranked, "base")
    one = {"pool_runs": "pool"}
    write_params(workspace, benchmark={"path": "texts", "pool": "both", "pool_top": 3, "sets": {"small": one}})
    benchmark.main()
    pooled = Path("data/benchmark/small-pool")
    assert [row[0] for row in table.read_rows(pooled / "corpus/fi.parquet")] == ["d1", "d2", "d5", "d7"]
    record = json.loads((pooled / "benchmark.json").read_text(encoding="utf-8"))
    assert record["pool"] == 3
    assert record["directions"][0]["corpus"] == "data/benchmark/small-pool/corpus/fi.parquet"
    assert (pooled / "fi-fi/qrels.parquet").read_bytes() == Path(
        "data/benchmark/small/fi-fi/qrels.parquet"
    ).read_bytes()
    write_params(workspace, benchmark={"path": "texts", "pool": "candidates", "pool_top": 3, "sets": {"small": one}})
    benchmark.main()
    assert [path.name for path in Path("data/benchmark").iterdir()] == ["small-pool"]
    elsewhere = [trec.Hit("q1", doc_id, 1, 1.0) for doc_id in ("d1", "d2", "elsewhere")]
    trec.write_run(workspace / "texts/pool/fi-fi.trec", elsewhere, "base")
    with pytest.raises(DataError, match="1 passage of the runs not in"):
        benchmark.main()


def test_a_set_without_the_runs_languages_is_left_out_and_said(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {"small": {}, "english": {"folder": {"en": "en"}}}
    write_params(workspace, benchmark={"path": "texts", "sets": sets})
    benchmark.main()
    assert "benchmark english: none of the run's languages; left out" in capsys.readouterr().out
    assert [path.name for path in Path("data/benchmark").iterdir()] == ["small"]
