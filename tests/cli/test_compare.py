"""`graded compare` on real run files and on revisions of a real Git and DVC repository."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graded.cli import app
from graded.cli.compare import compare
from graded.errors import DataError, MissingError, ParamError
from graded.formats import atomic, table, trec
from graded.stages.evaluate import PER_QUERY

#: One worker imports ranx for all of them.
pytestmark = pytest.mark.xdist_group("ranx")

QUERIES = [f"q{number}" for number in range(30)]


def write_run(path: Path, hits: int) -> None:
    """Write a run that puts the relevant passage first for ``hits`` queries and second for the others."""
    rows = []
    for place, query in enumerate(QUERIES):
        order = ["good", "bad"] if place < hits else ["bad", "good"]
        rows += [trec.Hit(query, doc, rank, 1.0 / rank) for rank, doc in enumerate(order, 1)]
    trec.write_run(path, rows, path.stem)


@pytest.fixture
def folder(here: Path) -> Path:
    for name in ("fi-fi", "ar-ar", "fi-ar"):
        rows = [(query, "good", 1) for query in QUERIES]
        table.write_rows(Path(f"data/benchmark/toy/{name}/qrels.parquet"), table.QRELS, rows)
        write_run(Path(f"data/run/base/toy/{name}.trec"), 5)
        write_run(Path(f"data/run/tuned/toy/{name}.trec"), 6 if name == "ar-ar" else 25)
    return here


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    return {line.split()[1]: line for line in shown.splitlines() if line.strip().startswith(("toy", "my.qrels"))}


def test_two_folders_of_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare("data/run/base", "data/run/tuned", metric="MRR@10")
    shown = lines(capsys)
    assert set(shown) == {"fi", "ar"}
    assert shown["fi"].split()[2:6] == ["30", "0.5833", "0.9167", "+0.3333*"]
    assert shown["ar"].split()[5] == "+0.0167"
    assert shown["ar"].split()[-1] == "1.0000"
    compare("data/run/base", "data/run/tuned", directions=True)
    assert set(lines(capsys)) == {"fi", "ar", "fi-ar"}


def test_two_files_with_qrels_from_elsewhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.qrels").write_text("".join(f"{query} 0 bad 1\n" for query in QUERIES[:10]))
    one, two = "data/run/base/toy/ar-ar.trec", "data/run/tuned/toy/fi-fi.trec"
    compare(one, two, metric="MRR@10", qrels=Path("my.qrels"))
    assert lines(capsys)["-"].split()[2:5] == ["10", "0.7500", "0.5000"]


def test_a_pool_is_named_in_the_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for home in ("benchmark", "run/base", "run/tuned"):
        shutil.copytree(f"data/{home}/toy", f"data/{home}/toy-pool")
    atomic.write_json(Path("data/benchmark/toy-pool/benchmark.json"), {"name": "toy-pool", "pool": 100})
    compare("data/run/base", "data/run/tuned", markdown=True)
    said = capsys.readouterr().out
    assert "| toy-pool nDCG@10-pool | fi | 30 |" in said
    assert "\n\n-pool: of judged passages and the base's first hits; gains over the base look larger" in said
    compare("data/run/base", "data/run/tuned", metric="nDCG@10-pool")
    assert set(lines(capsys)) == {"fi", "ar"}
    with pytest.raises(MissingError, match="no run in data/run/base/toy is of a set over a pool"):
        compare("data/run/base", "data/run/base/toy", metric="nDCG@10-pool")


def test_an_approximate_index_is_named_in_the_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path("data/run/tuned").rglob("*.trec"):
        path.write_text(path.read_text().replace(f" {path.stem}\n", " graded-tuned-hnsw\n"))
    compare("data/run/base", "data/run/tuned", markdown=True)
    assert "| toy nDCG@10-hnsw | fi | 30 |" in capsys.readouterr().out
    compare("data/run/tuned", "data/run/tuned", metric="nDCG@10-hnsw")
    assert set(lines(capsys)) == {"fi", "ar"}
    with pytest.raises(MissingError, match="no run in data/run/base is of such a set and index"):
        compare("data/run/tuned", "data/run/base", metric="nDCG@10-hnsw")
    atomic.write_json(Path("data/benchmark/toy/benchmark.json"), {"name": "toy", "protocol": "listed"})
    compare("data/run/base", "data/run/tuned", markdown=True)
    assert "| toy | fi | 30 |" in capsys.readouterr().out, "listed passages are ranked exactly, whatever the index"


def test_a_pool_is_no_matter_of_judgements_from_elsewhere(folder: Path) -> None:
    Path("my.qrels").write_text("q1 0 good 1\n")
    one, two = "data/run/base/toy/fi-fi.trec", "data/run/tuned/toy/fi-fi.trec"
    with pytest.raises(ParamError, match=r"received 'nDCG@10-pool' with --qrels my\.qrels.*; legal: nDCG@10$"):
        compare(one, two, metric="nDCG@10-pool", qrels=Path("my.qrels"))


def test_a_system_with_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare("data/run/base", "data/run/base")
    said = capsys.readouterr().out
    assert said.count("+0.0000 to +0.0000  1.0000    1.0000") == 2
    assert "A and B have the same value for every query" in said


def test_judgements_of_other_queries_are_no_zeros(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = "data/run/base/toy/fi-fi.trec", "data/run/tuned/toy/fi-fi.trec"
    Path("my.qrels").write_text("z1 0 good 1\nz2 0 good 1\n")
    with pytest.raises(DataError, match="has no line for any of 2 judged queries"):
        compare(one, two, qrels=Path("my.qrels"))
    Path("my.qrels").write_text("z1 0 good 1\nq1 0 good 1\n")
    compare(one, two, qrels=Path("my.qrels"))
    assert f"{one}: no line for 1 of 2 queries, which count 0" in capsys.readouterr().out


def test_markdown(folder: Path) -> None:
    done = CliRunner().invoke(app, ["compare", "data/run/base", "data/run/tuned", "--markdown"])
    assert done.exit_code == 0, done.output
    rows = [line for line in done.output.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(MissingError, match=r"no nothing\.trec"):
        compare("nothing.trec", "data/run/base")
    write_run(Path("elsewhere/x-x.trec"), 3)
    with pytest.raises(MissingError, match="--qrels FILE"):
        compare("elsewhere/x-x.trec", "data/run/base")
    with pytest.raises(ParamError, match="holds 3 runs"):
        compare("data/run/base", "data/run/tuned", qrels=Path("my.qrels"))
    Path("data/run/other").mkdir()
    with pytest.raises(MissingError, match="data/run/other"):
        compare("data/run/other", "data/run/tuned")


def test_different_benchmarks_do_not_compare(folder: Path) -> None:
    Path("data/benchmark/toy").rename("data/benchmark/other")
    Path("data/run/tuned/toy").rename("data/run/tuned/other")
    Path("data/benchmark/toy/fi-fi").mkdir(parents=True)
    for name in ("fi-fi", "ar-ar", "fi-ar"):
        table.write_rows(Path(f"data/benchmark/toy/{name}/qrels.parquet"), table.QRELS, [("q1", "good", 1)])
    with pytest.raises(DataError, match="share no query"):
        compare("data/run/base", "data/run/tuned")


def sh(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def values(tuned: float, queries: list[str]) -> Iterator[tuple[str, str, str, str, str, str, float]]:
    for place, query in enumerate(queries):
        yield "toy", "fi", "fi", "base", query, "nDCG@10", 0.5
        yield "toy", "fi", "fi", "tuned", query, "nDCG@10", tuned + place / 1000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Git and DVC repository with two tagged revisions of the per-query values, made once."""
    folder = tmp_path_factory.mktemp("template")
    with contextlib.chdir(folder):
        sh("git", "init", "-q", "-b", "main")
        sh("git", "config", "user.email", "a@example.org")
        sh("git", "config", "user.name", "a")
        sh("dvc", "init", "-q")
        path = Path("data/evaluate/per_query.parquet")
        for revision, tuned, queries in (("one", 0.4, QUERIES), ("two", 0.6, QUERIES[:20])):
            path.unlink(missing_ok=True)
            table.write_rows(path, PER_QUERY, values(tuned, queries))
            sh("dvc", "add", "-q", "data/evaluate")
            sh("git", "add", "-A")
            sh("git", "commit", "-qm", revision)
            sh("git", "tag", revision)
    return folder


@pytest.fixture
def repository(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shutil.copytree(template, tmp_path / "copy", symlinks=True))
    return tmp_path / "copy"


def test_two_revisions(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare("one", "two")
    out = capsys.readouterr().out
    assert "+0.2000*" in out
    assert "10 queries are on one side only" in out
    compare("two", "workspace")
    assert "+0.0000" in capsys.readouterr().out


def test_revisions_that_cannot_be_read(repository: Path) -> None:
    with pytest.raises(ParamError, match="'three': no run file or folder, and no Git revision"):
        compare("one", "three")
    with pytest.raises(ParamError, match=r"received bm25 nDCG@10; .* base nDCG@10, tuned nDCG@10"):
        compare("one", "two", system="bm25")
    sh("rm", "-rf", ".dvc/cache")
    with pytest.raises(MissingError, match="dvc push data/evaluate"):
        compare("one", "workspace")
