"""`graded review` on two branches of a real git and DVC repository, and its comment on a real HTTP server."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from graded.errors import MissingError, ServiceError
from graded.experiments import comment, github
from graded.experiments.drift import behind
from graded.experiments.review import Review, Row, changed
from graded.formats import yaml12
from tests.experiments import toy

pytestmark = pytest.mark.xdist_group("review")


def review(folder: Path, *arguments: str, base: str = "main", code: int = 0) -> str:
    command = ["graded", "review", base, *arguments]
    done = subprocess.run(command, cwd=folder, env=toy.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The branch `change` of an experiment at tau 3, which left main at tau 2; main has moved on since to another seed.

    Like those of a sweep, the experiment ran up to evaluate; the report is that of main.
    """
    folder = toy.make(tmp_path_factory.mktemp("review") / "repo")
    pipeline = folder / "dvc.yaml"
    text = pipeline.read_text(encoding="utf-8").replace(
        "raise SystemExit('experiments need no report')", "open('report.html', 'w')"
    )
    pipeline.write_text(text.replace("params: [report]", "params: [report, tau]"), encoding="utf-8")
    toy.run(folder, "dvc", "repro", "--quiet")
    toy.commit(folder, "first run")
    toy.run(folder, "dvc", "exp", "run", "--quiet", "--name", "strict", "-S", "tau=3", "evaluate")
    toy.run(folder, "dvc", "exp", "branch", "--quiet", "strict", "change")
    toy.run(folder, "git", "checkout", "--quiet", "--force", "change")
    moved = tmp_path_factory.mktemp("moved") / "main"
    toy.run(folder, "git", "worktree", "add", "--quiet", str(moved), "main")
    for name, old, new in (("params.yaml", "seed: 13", "seed: 14"), ("metrics/evaluate.json", "0.", "0.1")):
        text = (moved / name).read_text(encoding="utf-8")
        assert old in text
        (moved / name).write_text(text.replace(old, new), encoding="utf-8")
    toy.commit(moved, "the base moves on")
    return folder


def test_params_metrics_and_noise(repo: Path) -> None:
    said = review(repo)
    assert said.startswith(comment.MARKER)
    assert "report is still the base's" in said
    assert "| tau | 2 | 3 |" in said
    assert "seed" not in said  # main's own, since this branch left it
    rows = {line.split(" | ")[0].strip("| "): line for line in said.splitlines() if line.startswith("| ")}
    assert "**lower**" in rows["fi"]  # against the value that main had then; the toy plants 0.06 between tau 2 and 3
    assert "**lower**" in rows["ar"]
    assert "to" in rows["fi"].split(" | ")[4]


@pytest.mark.slow
def test_without_the_values_of_queries_git_alone_says_what_changed(repo: Path, tmp_path: Path) -> None:
    toy.run(tmp_path, "git", "clone", "--quiet", "--branch", "change", str(repo), "clone")
    clone = tmp_path / "clone"
    toy.run(clone, "git", "branch", "--quiet", "main", "origin/main")
    said = review(clone)
    assert "Not tested against noise" in said
    assert "| tau | 2 | 3 |" in said
    assert "not tested" in said
    (clone / "stage.py").write_text((clone / "stage.py").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    said = review(clone, "--out", "comment.md", code=1)
    assert "evaluate would run" in said
    assert "**dvc.lock has drifted**: evaluate would run" in (clone / "comment.md").read_text(encoding="utf-8")


def test_a_metric_is_found_under_its_other_names() -> None:
    """A set over a pool keeps its name; one that an approximate index searches now stands beside its exact value."""
    before: dict[str, Any] = {"pool": {"fi": {"nDCG@10-pool": 0.5}}, "full": {"fi": {"nDCG@10": 0.5, "nDCG@100": 0.9}}}
    after: dict[str, Any] = {"pool": {"fi": {"nDCG@10-pool": 0.6}}, "full": {"fi": {"nDCG@10-hnsw": 0.4}}}
    rows = changed(before, after, "nDCG@10")
    assert rows == [
        Row("pool", "fi", 0.5, 0.6, named="nDCG@10-pool"),
        Row("full", "fi", 0.5, 0.4, named="nDCG@10 → nDCG@10-hnsw"),
    ]
    assert changed(before, after, "nDCG@10-hnsw") == [Row("full", "fi", None, 0.4)]
    text = comment.markdown(Review("a" * 40, "b" * 40, "nDCG@10", [], {}, rows, "", []))
    assert "| fi (nDCG@10 → nDCG@10-hnsw) |" in text.replace("\\", "").replace("&#64;", "@")
    assert "<details>" not in text  # a hyphen in a metric's name makes no cross-lingual direction
    assert "approximate index" in text
    same = [Row("full", "fi", 0.5, 0.5, named="nDCG@10 → nDCG@10-hnsw")]
    text = comment.markdown(Review("a" * 40, "b" * 40, "nDCG@10", [], {}, same, "", []))
    assert "| 0.5000 | 0.5000 | +0.0000 |" in text


def test_means_are_compared_over_the_directions_that_both_sides_have() -> None:
    values = {"fi": 0.5, "en": 0.9, "mean": 0.7, "fi-en": 0.2, "en-fi": 0.4, "mean-cross": 0.3}
    before = {"set": {label: {"nDCG@10": value} for label, value in values.items()}}
    after = {"set": {"fi": {"nDCG@10": 0.6}, "mean": {"nDCG@10": 0.6}, "fi-en": {"nDCG@10": 0.1}}}
    after["set"]["mean-cross"] = {"nDCG@10": 0.1}
    rows = {row.label: row for row in changed(before, after, "nDCG@10")}
    assert rows["mean"] == Row("set", "mean", 0.5, 0.6, named="nDCG@10 of the 1 that both have")
    assert rows["mean-cross"][2:4] == (0.2, 0.1)
    assert changed(before, before, "nDCG@10")[2] == Row("set", "mean", 0.7, 0.7)


def test_a_revision_that_is_none(repo: Path) -> None:
    command = ["graded", "review", "nowhere"]
    done = subprocess.run(command, cwd=repo, env=toy.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "nowhere" in done.stderr


@pytest.mark.slow
def test_a_report_that_is_behind_is_no_drift_and_one_that_was_changed_is(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.run(tmp_path, "git", "clone", "--quiet", "--branch", "change", str(repo), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("PATH", toy.environment()["PATH"])
    pipeline = yaml12.read(Path("dvc.yaml"), "")
    assert behind("report", pipeline)
    assert not behind("evaluate", pipeline)
    for name, old, new in (
        ("params.yaml", "report: {}", "report: {examples: 1}"),
        ("dvc.yaml", "'w')", "'wb')"),
        ("dvc.yaml", "deps: [data/evaluate]", "deps: [data/evaluate, stage.py]"),
    ):
        text = Path(name).read_text(encoding="utf-8")
        assert old in text
        Path(name).write_text(text.replace(old, new), encoding="utf-8")
        assert not behind("report", yaml12.read(Path("dvc.yaml"), ""))
        Path(name).write_text(text, encoding="utf-8")


def test_a_base_of_no_kin(repo: Path) -> None:
    tree = toy.run(repo, "git", "rev-parse", "main^{tree}").strip()
    other = toy.run(repo, "git", "commit-tree", tree, "-m", "of no kin").strip()
    assert "share no commit here" in review(repo, base=other, code=1)


def test_texts_from_a_branch_are_no_markup() -> None:
    evil = "x|y\n<img src=x onerror=alert(1)> [a](https://evil.example) @team `code` **b** www.evil.example"
    rows = [Row("s|et", evil, 0.1, 0.2)]
    found = Review("a" * 40, "b" * 40, "nDCG@10", [evil], {evil: (evil, {"k": evil})}, rows, evil, [f"docs/{evil}.svg"])
    text = comment.markdown(found, "https://host/own/repo", "https://host/own/repo/actions/runs/1")
    assert "<img" not in text
    assert "@team" not in text
    assert "https://evil" not in text
    assert " www.evil" not in text
    assert "**b**" not in text
    assert "](https://host/own/repo/blob/" in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") in (4, 8)


def test_a_long_comment_is_cut() -> None:
    params: dict[str, tuple[Any, Any]] = {f"p{number}": ("x" * 100, "y" * 100) for number in range(1000)}
    text = comment.markdown(Review("a" * 40, "b" * 40, "nDCG@10", [], params, [], "", []))
    assert len(text) < 65_536
    assert "cut" in text.splitlines()[-1]


def test_a_comment_that_is_cut_in_a_fold_closes_it() -> None:
    rows = [Row("s", f"fi-l{number}", 0.1, 0.2) for number in range(3000)]
    text = comment.markdown(Review("a" * 40, "b" * 40, "nDCG@10", [], {}, rows, "", []))
    assert len(text) < 65_536
    *_, row, _, closed, _, said = text.splitlines()
    assert row.startswith("| fi")
    assert row.endswith(" |")
    assert closed == "</details>"
    assert said.startswith("(cut")


class GitHub(BaseHTTPRequestHandler):
    """The three endpoints of comments; ``server.comments`` is the state, ``server.status`` an error to give."""

    server: Any

    def reply(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(self.server.status or status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer s3cret"
        page = int(self.path.split("page=")[-1])
        self.reply(self.server.comments[100 * (page - 1) : 100 * page])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self.server.comments.append({"id": len(self.server.comments), "body": body, "user": {"type": "Bot"}})
        self.reply({"html_url": "https://host/c"}, 201)

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self.server.comments[int(self.path.split("/")[-1])]["body"] = body
        self.reply({"html_url": "https://host/c"})

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    server.comments = [{"id": n, "body": comment.MARKER, "user": {"type": "User"}} for n in range(130)]
    server.status = None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}', encoding="utf-8")
    yield (
        server,
        {
            "GITHUB_TOKEN": "s3cret",
            "GITHUB_REPOSITORY": "own/repo",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}",
        },
    )
    server.shutdown()
    server.server_close()


def test_one_comment_made_once_then_updated(host: tuple[Any, dict[str, str]]) -> None:
    server, environment = host
    assert github.post(environment, f"{comment.MARKER}\none", comment.MARKER) == "https://host/c"
    github.post(environment, f"{comment.MARKER}\ntwo", comment.MARKER)
    bots = [one["body"] for one in server.comments if one["user"]["type"] == "Bot"]
    assert bots == [f"{comment.MARKER}\ntwo"]
    assert len(server.comments) == 131


def test_github_says_no(host: tuple[Any, dict[str, str]]) -> None:
    server, environment = host
    server.status = 403
    with pytest.raises(ServiceError, match=r"403.*pull-requests: write") as caught:
        github.post(environment, "x", comment.MARKER)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(MissingError, match="GITHUB_TOKEN not set"):
        github.post({**environment, "GITHUB_TOKEN": ""}, "x", comment.MARKER)
    with pytest.raises(ServiceError, match="cannot be reached"):
        github.post({**environment, "GITHUB_API_URL": "http://127.0.0.1:1"}, "x", comment.MARKER)


def test_the_workflow_may_do_no_more_than_comment(root: Path) -> None:
    workflow = yaml.safe_load((root / ".github/workflows/metrics.yml").read_text(encoding="utf-8"))
    assert workflow[True] == "pull_request"  # YAML 1.1 reads `on` as true; never pull_request_target
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    for step in job["steps"]:
        secret = "secrets." in json.dumps(step) or "github.token" in json.dumps(step)
        scripts = step.get("run", "")
        assert "${{ github." not in scripts, "text of a pull request never stands in a script"
        if secret and "github.token" in json.dumps(step):
            assert step["if"] == "env.OWN == 'true'"
