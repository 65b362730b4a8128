"""The pipeline as a user runs it: a clone of this repository, DVC, the shipped sample, and no network at all.

Two languages and a few training steps, so that it fits the default run; `make test-all` runs the sample whole.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests import clones
from tests.closure import ROOT

pytestmark = pytest.mark.xdist_group("pipeline")

TAIL = ["pair", "train", "retrieve@tuned", "evaluate", "report"]
SMALL = {"languages": ["es", "en"], "pair": {"size": 120}, "train": {"budget": "steps", "steps": 2, "batch_size": 12}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the reduced sample has been run, without network where that can be cut."""
    target = clones.clone(tmp_path_factory.mktemp("pipeline") / "graded")
    clones.lay(target / "params.yaml", SMALL)
    clones.commit(target, "small")
    for command in (["dvc", "pull", "data/ledger.dvc"], ["dvc", "repro"]):
        done = clones.run(target, *command, prefix=clones.offline())
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    clones.commit(target, "ran")
    return target


def test_metrics_are_there_for_every_language_and_direction(project: Path) -> None:
    record = json.loads((project / "metrics/evaluate.json").read_text(encoding="utf-8"))["sample"]
    assert set(record) == {"es", "en", "es-en", "en-es", "mean", "mean-cross"}
    for one in record.values():
        assert 0 <= one["nDCG@10"] <= 1
        assert 0 <= one["base"]["nDCG@10"] <= 1
    agree = json.loads((project / "metrics/agree.json").read_text(encoding="utf-8"))
    assert {"es", "en"} <= set(agree)


def test_the_summary_fits_a_terminal_and_says_what_it_cost(project: Path) -> None:
    done = clones.run(project, "python", "-c", "from graded.cli import main; main()", "summary")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    for word in ("nDCG@10", "MRR@10", "recall@100", "tau", "0.00"):
        assert word in done.stdout


def test_status_is_clean_and_a_second_run_does_nothing(project: Path) -> None:
    assert "up to date" in clones.run(project, "dvc", "status").stdout
    assert clones.ran(clones.run(project, "dvc", "repro").stdout) == []
    assert clones.run(project, "dvc", "repro", "--allow-missing", "--dry").stdout.count("Running stage") == 0


def test_tau_runs_the_tail_alone_and_metrics_diff_shows_each_language(project: Path) -> None:
    done = clones.run(project, "dvc", "exp", "run", "--name", "strict", "-S", "tau=3")
    assert done.returncode == 0, done.stderr[-3000:]
    assert clones.ran(done.stdout) == TAIL
    assert any((project / "data/ledger").iterdir()), "an experiment must not take the ledger's snapshot away"
    diff = json.loads(clones.run(project, "dvc", "metrics", "diff", "--json").stdout)
    assert "sample.nDCG@10.es" in diff["metrics/ndcg.json"], diff
    shown = clones.run(project, "dvc", "params", "diff", "--json").stdout
    assert json.loads(shown) == {"params.yaml": {"tau": {"old": 2, "new": 3, "diff": 1}}}
    clones.git(project, "checkout", "--quiet", "--", "params.yaml", "dvc.lock", "metrics")
    assert clones.run(project, "dvc", "checkout", "--quiet", "--force").returncode == 0


@pytest.mark.slow
def test_tau_per_language_and_fewer_languages(project: Path) -> None:
    done = clones.run(project, "dvc", "exp", "run", "--temp", "--name", "mixed", "-S", "tau={default: 3, es: 2}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert clones.ran(done.stdout) == TAIL
    done = clones.run(project, "dvc", "exp", "run", "--temp", "--name", "one", "-S", "languages=[en]")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    [ref] = clones.git(project, "for-each-ref", "--format=%(refname)", "refs/exps/**/one").split()
    shown = clones.git(project, "show", f"{ref}:metrics/evaluate.json")
    assert set(json.loads(shown)["sample"]) >= {"en"}
    assert "es" not in json.loads(shown)["sample"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("tau=5", "tau: received 5"),
        pytest.param("train.epochs=-1", "train.epochs: received -1", marks=pytest.mark.slow),
    ],
)
def test_a_bad_value_is_one_line_and_changes_no_result(project: Path, change: str, says: str) -> None:
    before = (project / "metrics/evaluate.json").read_bytes()
    done = clones.run(project, "dvc", "exp", "run", "-S", change)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "metrics/evaluate.json").read_bytes() == before
    clones.git(project, "checkout", "--quiet", "--", "params.yaml", "dvc.lock")


def test_a_missing_reply_without_a_budget_names_the_two_ways_on(project: Path) -> None:
    prompt = project / "prompts/grade.txt"
    text = prompt.read_text(encoding="utf-8")
    prompt.write_text(text.replace("[system]\n", "[system]\nBe brief. "), encoding="utf-8")
    done = clones.run(project, "dvc", "repro", "grade")
    prompt.write_text(text, encoding="utf-8")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("graded: ")]
    assert len(said) == 1
    assert "graded ledger pull" in said[0]
    assert clones.run(project, "dvc", "checkout", "--quiet").returncode == 0


def readme_commands() -> list[str]:
    """Return every command of README.md's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


#: Commands whose own tests are in the default run: here they run with `make test-all`.
ELSEWHERE = ("graded review", "graded compare", "graded ledger publish", "graded summary")


@pytest.fixture(scope="module")
def reader(project: Path) -> Path:
    """The project, with the files that README.md speaks of and a `graded` of its own."""
    (project / "passages.csv").write_text("id,text\na,yksi\nb,kaksi\n", encoding="utf-8")
    (project / "queries.csv").write_text("id,query\nq,luku?\n", encoding="utf-8")
    (project / "qrels.csv").write_text("query_id,doc_id,score\nq,a,3\n", encoding="utf-8")
    (project / "bin").mkdir()
    script = f'#!/bin/sh\nexec {sys.executable} -c "from graded.cli import main; main()" "$@"\n'
    (project / "bin" / "graded").write_text(script, encoding="utf-8")
    (project / "bin" / "graded").chmod(0o755)
    clones.git(project.parent, "init", "--quiet", "--bare", "origin.git")
    clones.git(project, "remote", "add", "origin", str(project.parent / "origin.git"))
    return project


def runs(project: Path, command: str) -> None:
    """Run a command as far as it can here: make dry, experiments queued, no fetch, a profile up to its question."""
    dry = {"make": "make -n", "dvc exp run -S": "dvc exp run --queue -S", "graded fetch": "graded fetch --help"}
    dry |= {"graded remote s3://my-team": f"graded remote {project.parent}/shared"}
    for start, instead in dry.items():
        if command.startswith(start):
            command = command.replace(start, instead, 1)
    done = clones.run(project, "bash", "-c", f'PATH="$PWD/bin:$PATH"; {command}')
    asks = command.startswith("graded profile") and "--yes" in done.stderr
    assert done.returncode == 0 or asks, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_command_in_the_readme_runs(reader: Path) -> None:
    commands = [one for one in readme_commands() if not one.startswith(ELSEWHERE)]
    assert len(commands) >= 15
    for command in commands:
        runs(reader, command)


@pytest.mark.slow
def test_the_other_commands_in_the_readme_run_too(reader: Path) -> None:
    commands = [one for one in readme_commands() if one.startswith(ELSEWHERE)]
    assert len(commands) >= len(ELSEWHERE)
    for command in ["graded remote s3://my-team/graded", *commands]:
        runs(reader, command)
