"""What a benchmark is for is what params.yaml says, not what it is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graded.analysis import catalogue
from graded.cli.results import test_sets as reported
from graded.errors import DataError
from graded.experiments import calibration, comment, results
from graded.experiments.results import Source
from graded.experiments.review import Review, Row
from graded.experiments.roles import role
from graded.formats import table
from graded.stages.evaluate import PER_QUERY

SETS = {"tuning": {"role": "dev"}, "miracl-dev": {"role": "test"}, "plain": {}}
VALUES = {"benchmark": {"sets": SETS}}


def test_the_role_is_that_of_params_yaml() -> None:
    names = ("tuning", "tuning-pool", "miracl-dev", "plain", "unknown-dev")
    assert [role(name, VALUES) for name in names] == ["dev", "dev", "test", "test", "test"]


def evaluated(*names: tuple[str, str, float]) -> None:
    """Write what evaluate would: (set, metric, value) of four Finnish queries, the base a little lower."""
    rows = [
        (name, "fi", "fi", system, f"q{at}", metric, value - 0.01 * at * (system == "base"))
        for name, metric, value in names
        for system in ("tuned", "base")
        for at in range(4)
    ]
    table.write_rows(Path("data/evaluate/per_query.parquet"), PER_QUERY, rows)
    results.scores.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    results.scores.cache_clear()


def test_results_figures_and_their_table_go_by_it(here: Path) -> None:
    text = "tau: 2\nseed: 13\nlanguages: [fi]\nannotator: a\nbenchmark: {sets: {tuning: {role: dev}, miracl-dev: {}}}\n"
    (here / "params.yaml").write_text(text, encoding="utf-8")
    evaluated(("tuning", "nDCG@10", 0.5), ("miracl-dev", "nDCG@10", 0.5))
    gathered, _ = results.gather([Source("workspace", None, None, None)])
    assert {row["set"]: row["role"] for row in gathered} == {"tuning": "dev", "miracl-dev": "test"}
    assert catalogue.sets(gathered) == ["miracl-dev", "tuning"]
    assert reported(gathered) == ["miracl-dev"]


def test_a_review_shows_it_and_puts_it_last() -> None:
    rows = [Row(name, "fi", 0.1, 0.2) for name in ("tuning", "miracl-dev")]
    text = comment.markdown(Review("a" * 40, "b" * 40, "nDCG@10", [], {}, rows, "", [], dev=["tuning"]))
    assert 0 < text.index("**miracl\\-dev, nDCG") < text.index("**tuning (role: dev), nDCG")


def test_a_pool_of_development_queries_is_no_test_set(here: Path) -> None:
    for name in ("tuning", "tuning-pool"):
        table.write_rows(Path(f"data/benchmark/{name}/fi-fi/queries.parquet"), table.QUERIES, [("q1", "kuka")])
    calibration.refuse_overlap(["tuning"], ["fi"])
    table.write_rows(Path("data/benchmark/plain/fi-fi/queries.parquet"), table.QUERIES, [("q7", "kuka")])
    with pytest.raises(DataError, match="1 of the fi queries of tuning "):
        calibration.refuse_overlap(["tuning"], ["fi"])


def test_scores_of_a_pool_alone_are_found_and_those_beside_a_whole_count_once(here: Path) -> None:
    pool, whole = ("tuning-pool", "nDCG@10-pool", 0.5), ("tuning", "nDCG@10", 0.7)
    evaluated(pool)
    assert calibration.dev_scores(None, ["tuning"], "fi", "nDCG@10").tolist() == [0.5] * 4
    evaluated(pool, whole)
    assert calibration.dev_scores(None, ["tuning"], "fi", "nDCG@10").tolist() == [0.7] * 4
