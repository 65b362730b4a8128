"""Two people and CI around one S3 server: who buys, who moves which bytes, and what is never bought twice.

A buys from the stand-in API, publishes and pushes; B has no API key; C has git alone. All of it is real but the API:
git, DVC, an S3 server on loopback behind a wire that counts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clones
from tests.llm.buying import MODEL
from tests.s3 import Bucket
from tests.standin import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("team"), pytest.mark.timeout(1500)]

#: What sharing an experiment moves, by how much of it is shared.
NUMBERS = "B: dvc exp push --no-cache (the numbers)"
RESULTS = "B: dvc push data/evaluate report"
WEIGHTS = "B: dvc exp push (the rest, with the weights)"
COMPARE = "import sys; sys.argv[1:] = ['compare', 'main', 'strict']; from graded.cli import main; main()"
TAIL = ["pair", "train", "retrieve@tuned", "evaluate", "report"]


class Team:
    """The server, the API, and a bare repository that everybody clones."""

    def __init__(self, home: Path, bucket: Bucket, api: StandIn) -> None:
        self.home, self.bucket, self.api = home, bucket, api
        self.moved: list[tuple[str, int, int]] = []

    def buys(self) -> dict[str, str]:
        """Return the environment of somebody who may spend."""
        return {"OPENAI_API_KEY": "k", "GRADED_BUDGET_USD": "5"}

    def do(self, clone: Path, *command: str, step: str = "", **more: str) -> str:
        """Run a command of ``clone`` with the bucket's keys, note the bytes of ``step``, and return what it printed."""
        words = ["python", "-c", "from graded.cli import main; main()", *command[1:]]
        self.bucket.wire.moved()
        words = words if command[0] == "graded" else list(command)
        done = clones.run(clone, *words, prefix=None, timeout=900, **{**self.bucket.environment, **more})
        assert done.returncode == 0, f"{command}\n{done.stdout[-2500:]}\n{done.stderr[-2500:]}"
        if step:
            self.moved.append((step, *self.bucket.wire.moved()))
        return done.stdout + done.stderr

    def clone(self, name: str) -> Path:
        """Clone what stands in origin."""
        clones.git(self.home, "clone", "--quiet", str(self.home / "origin.git"), name)
        return self.home / name

    def change(self, clone: Path, values: dict[str, object]) -> None:
        """Lay ``values`` over the clone's params.yaml."""
        clones.lay(clone / "params.yaml", values)

    def once(self) -> bool:
        """Has nothing been billed twice?"""
        return max(self.api.counts.billed.values()) == 1


def size(folder: Path) -> int:
    """Return the bytes of the files under ``folder``, or of a file."""
    return sum(path.stat().st_size for path in ([folder] if folder.is_file() else folder.rglob("*")) if path.is_file())


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A has bought for two languages, run the pipeline, published and pushed."""
    home = tmp_path_factory.mktemp("team")
    with Bucket() as bucket, StandIn() as api:
        found = Team(home, bucket, api)
        a = clones.clone(home / "a")
        judge = {"model": MODEL, "base_url": api.base_url, "max_tokens": 8, "family": "openai", "temperature": 0.0}
        found.change(
            a,
            {
                "languages": ["fi", "en"],
                "annotator": "one",
                "annotators": ["one", "two"],
                "sample": {"size": 12},
                "query": {"model": MODEL, "family": "openai", "base_url": api.base_url},
                "grade": {"annotators": {"one": judge, "two": {**judge, "seed": 2}}},
                "train": {"budget": "steps", "steps": 3, "batch_size": 16},
            },
        )
        clones.git(home, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
        clones.git(a, "remote", "add", "origin", str(home / "origin.git"))
        said = found.do(a, "graded", "remote", "s3://team/graded", "--endpoint", bucket.endpoint)
        assert "tested: reads and writes" in said
        found.do(a, "graded", "ledger", "pull")
        clones.commit(a, "the team's remote")
        found.do(a, "dvc", "repro", "--quiet", **found.buys())
        assert found.once()
        found.do(a, "graded", "ledger", "publish", "--push", step="A: graded ledger publish --push")
        found.do(a, "dvc", "push", step="A: dvc push (the first, all of it)")
        clones.commit(a, "bought and run")
        clones.git(a, "push", "--quiet", "origin", "main")
        yield found


def test_b_without_a_key_runs_an_experiment_for_nothing_and_shares_it(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    b, billed = team.clone("b"), team.api.counts.billed.total()
    team.do(b, "graded", "ledger", "pull", step="B: graded ledger pull")
    team.do(b, "dvc", "pull", step="B: dvc pull (the first, all of it)")
    whole = sum(team.bucket.objects().values())
    assert "up to date" in team.do(b, "dvc", "status")
    said = team.do(b, "dvc", "exp", "run", "--name", "strict", "-S", "tau=3", step="B: dvc exp run -S tau=3")
    assert clones.ran(said) == TAIL
    assert team.api.counts.billed.total() == billed
    assert "dollars spent  0.00" in team.do(b, "graded", "summary")
    a = team.home / "a"
    team.do(b, "dvc", "exp", "push", "--no-cache", "origin", "strict", step=NUMBERS)
    team.do(a, "dvc", "exp", "pull", "--no-cache", "origin", "strict", step="A: dvc exp pull --no-cache")
    [ref] = clones.git(a, "for-each-ref", "--format=%(refname)", "refs/exps/**/strict").split()
    assert json.loads(clones.git(a, "show", f"{ref}:metrics/evaluate.json"))["sample"]["mean"]["nDCG@10"] >= 0
    untested = clones.run(a, "python", "-c", COMPARE, prefix=None, timeout=900, **team.bucket.environment)
    assert untested.returncode == 1
    assert "whoever has it runs 'dvc push data/evaluate' there" in untested.stderr
    team.do(b, "dvc", "push", "data/evaluate", "report", step=RESULTS)
    assert "sample" in team.do(a, "python", "-c", COMPARE, step="A: graded compare main strict")
    team.do(b, "dvc", "exp", "push", "origin", "strict", step=WEIGHTS)
    assert clones.git(b, "status", "--porcelain", "--", "sample", "data/ledger.dvc") == ""
    team.do(a, "dvc", "exp", "pull", "origin", "strict", step="A: dvc exp pull (weights and the rest)")
    moved = {step: up + down for step, up, down in team.moved}
    assert moved["B: dvc exp run -S tau=3"] < 0.05 * whole
    assert moved[NUMBERS] == 0, "git alone moves it"
    assert 0 < moved[RESULTS] < 0.05 * whole
    weights = size(b / "data/model" / "model.safetensors")
    rest = moved[RESULTS] + moved[WEIGHTS] - weights
    assert 0 < rest < 0.05 * whole
    with capsys.disabled():
        print(f"\nthe team's data: {whole:,} bytes, a model's weights {weights:,} of them")
        print("bytes moved (to the server, from it)")
        for step, up, down in team.moved:
            print(f"  {step:<42}{up:>14,}{down:>14,}{(up + down) / whole:>9.2%}")
        print(f"  an experiment's push without its weights   {rest:>13,}{rest / whole:>23.2%}")


def test_a_clone_without_data_fetches_only_what_the_tail_needs(team: Team) -> None:
    """Of the corpus, the queries and the grades nothing is needed to train; the encoder's weights are."""
    clone = team.clone("tail")
    said = team.do(
        clone, "dvc", "exp", "run", "--pull", "--allow-missing", "-S", "tau=1", step="tail: dvc exp run --pull -S tau=1"
    )
    assert clones.ran(said) == TAIL
    assert not (clone / "data/ledger").exists()
    _, _, down = team.moved[-1]
    needed = sum(
        size(clone / path)
        for path in ("data/encoder", "data/corpus", "data/benchmark", "data/balance", "data/run/base")
    )
    assert down < 1.2 * needed + 2_000_000
    assert down < 0.6 * sum(team.bucket.objects().values())


def test_ci_with_git_alone_sees_drift_and_the_metrics(team: Team) -> None:
    c = team.clone("c")
    quiet = clones.run(c, "dvc", "repro", "--allow-missing", "--dry")
    assert quiet.returncode == 0, quiet.stderr
    assert clones.ran(quiet.stdout) == []
    team.change(c, {"tau": 3})
    drifted = clones.run(c, "dvc", "repro", "--allow-missing", "--dry")
    assert drifted.returncode != 0 or clones.ran(drifted.stdout)
    assert "'pair'" in drifted.stdout + drifted.stderr, "the first stage that would run"
    diff = clones.run(c, "dvc", "params", "diff", "--md")
    assert "| tau" in diff.stdout
    assert clones.run(c, "dvc", "metrics", "diff", "--md", "HEAD").returncode == 0


def test_two_buy_on_branches_and_the_union_is_kept(team: Team) -> None:
    a, b = team.home / "a", team.clone("buyer")
    clones.git(a, "checkout", "--quiet", "--force", "main")
    team.do(a, "dvc", "checkout", "--quiet", "--force")
    team.do(b, "graded", "ledger", "pull")
    for one, branch, values in (
        (a, "larger", {"sample": {"size": 16}}),
        (b, "wider", {"languages": ["fi", "en", "es"]}),
    ):
        clones.git(one, "checkout", "--quiet", "-b", branch)
        team.change(one, dict(values))
        before = team.api.counts.billed.total()
        said = team.do(one, "dvc", "repro", "--pull", "--allow-missing", "grade", **team.buys())
        assert team.api.counts.billed.total() > before, said
        team.do(one, "graded", "ledger", "publish", "--push")
        team.do(one, "dvc", "push", "--quiet", "query", "grade")
        clones.commit(one, branch)
        clones.git(one, "push", "--quiet", "origin", branch)
    segments = {path.name for path in (a / "data/ledger").iterdir()} | {p.name for p in (b / "data/ledger").iterdir()}
    clones.git(b, "fetch", "--quiet", "origin")
    merged = clones.run(b, "git", "merge", "--quiet", "origin/larger")
    assert merged.returncode != 0, "both have changed data/ledger.dvc"
    assert "merge" in clones.run(b, "python", "-c", "from graded.cli import main; main()", "remote", "--no-test").stderr
    said = team.do(b, "graded", "ledger", "merge", "origin/larger", step="B: graded ledger merge")
    assert "added of" in said
    assert {path.name for path in (b / "data/ledger").iterdir()} == segments
    clones.git(b, "checkout", "--quiet", "--ours", "dvc.lock")
    clones.commit(b, "both")
    billed = team.api.counts.billed.total()
    for number, languages in ((16, ["fi", "en"]), (12, ["fi", "en", "es"])):
        team.change(b, {"sample": {"size": number}, "languages": languages})
        team.do(b, "dvc", "repro", "--quiet", "--pull", "--allow-missing", "grade", OPENAI_API_KEY="k")
    assert team.api.counts.billed.total() == billed
    assert team.once()
    team.do(b, "graded", "ledger", "publish", "--push")
    fresh = team.home / "fresh"
    shutil.copytree(b, fresh, ignore=shutil.ignore_patterns(".ledger", "cache", "ledger"))
    team.do(fresh, "graded", "ledger", "pull")
    assert {path.name for path in (fresh / "data/ledger").iterdir()} >= segments
