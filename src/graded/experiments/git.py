"""What git knows of experiments: their commits, the files in them, and whether two would run the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from graded.errors import MissingError, ServiceError
from graded.formats import yaml12
from graded.params import at


class Experiment(NamedTuple):
    """A finished DVC experiment: its name, its commit and the commit it started from (40 hex digits each)."""

    name: str
    commit: str
    baseline: str


def git(*arguments: str) -> str:
    """Return what a git command prints, without the last line end.

    Raises:
        ServiceError: git said no; its first line is quoted.
    """
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServiceError(f"git {arguments[0]}: {said[0]}")
    return done.stdout.decode("utf-8", "replace").rstrip("\n")


def experiments() -> list[Experiment]:
    """Return the experiments of this clone, those fetched from a remote among them, oldest first."""
    lines = git("for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = []
    for line in lines:
        commit, ref = line.split(" ", 1)
        parts = ref.split("/")  # refs/exps/<2 digits>/<38 digits>/<name>
        if len(parts) == 5 and len(parts[2] + parts[3]) == 40:
            found.append(Experiment(parts[4], commit, parts[2] + parts[3]))
    return found


def fetch(remote: str) -> int:
    """Fetch the commits of all experiments of a git remote (no data) and return how many are new here."""
    before = {one.commit for one in experiments()}
    listed = [line.split("\t")[1] for line in git("ls-remote", remote, "refs/exps/*").splitlines()]
    wanted = [ref for ref in listed if len(ref.split("/")) == 5]
    if wanted:
        git("fetch", "--quiet", remote, *(f"+{ref}:{ref}" for ref in wanted))
    return len({one.commit for one in experiments()} - before)


def working_tree() -> str:
    """Return a commit that holds the tracked files as they are now: what an experiment would start from."""
    # With nothing changed, `git stash create` prints nothing, and exits 1 where a file was written anew as it was.
    subprocess.run(["git", "update-index", "-q", "--refresh"], capture_output=True, check=False)
    head = git("rev-parse", "HEAD")
    return (git("stash", "create") or head) if git("status", "--porcelain", "--untracked-files=no") else head


@cache
def files(commit: str) -> Mapping[str, str]:
    """Return path -> blob id of every file in a commit."""
    rows = git("ls-tree", "-r", "-z", commit).split("\0")
    return {path: head.split(" ")[2] for head, _, path in (row.partition("\t") for row in rows) if head}


def read(commit: str, path: str) -> str:
    """Return the text of a file in a commit.

    Raises:
        MissingError: the commit has no such file.
    """
    if path not in files(commit):
        raise MissingError(f"no {path} in commit {commit[:7]}")
    return git("cat-file", "blob", files(commit)[path])


@cache
def read_yaml(commit: str, path: str) -> Any:
    """Return a YAML (or JSON) file of a commit."""
    return yaml12.loads(read(commit, path))


def needs(pipeline: Mapping[str, Any], target: str) -> tuple[set[str], set[str]]:
    """Return the stages that ``target`` needs, itself among them, and all their deps, of a dvc.yaml.

    A templated path counts up to its first `${`.
    """
    bodies = {name: stage.get("do", stage) for name, stage in pipeline["stages"].items()}
    stages, deps, todo = set[str](), set[str](), [target]
    while todo:
        stage = todo.pop()
        if stage in stages or stage not in bodies:
            continue
        stages.add(stage)
        own = {str(dep) for dep in bodies[stage].get("deps", [])}
        for item in _items(pipeline["stages"][stage]):
            own |= {str(dep).replace("${item." + key + "}", str(value)) for dep in own for key, value in item.items()}
        deps |= own
        for name, body in bodies.items():
            if any(_meet(out, dep) for out in outs(body) for dep in own):
                todo.append(name)
    return stages, deps


def _items(stage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    each = stage.get("foreach")
    return [one for one in each.values() if isinstance(one, Mapping)] if isinstance(each, Mapping) else []


def outs(body: Mapping[str, Any]) -> list[str]:
    """Return the paths that a stage of a dvc.yaml makes; a templated path up to its first `${`."""
    listed = [*body.get("outs", []), *body.get("metrics", [])]
    return [str(next(iter(one)) if isinstance(one, Mapping) else one).split("${")[0].rstrip("/") for one in listed]


def _meet(out: str, dep: str) -> bool:
    return dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")


def fingerprint(commit: str, params: Mapping[str, Any] | None = None) -> str:
    """Return a text that is equal for two commits exactly where `dvc repro evaluate` would run the same.

    It covers dvc.yaml, the params that the needed stages read, and the git content of all their deps (source files,
    prompts, `.dvc` files).

    Args:
        commit: a commit with a dvc.yaml.
        params: stands in for the commit's params.yaml.
    """
    pipeline = read_yaml(commit, "dvc.yaml")
    values = read_yaml(commit, "params.yaml") if params is None else params
    stages, deps = needs(pipeline, "evaluate")
    keys = set[str]()
    for name in stages:
        stage = pipeline["stages"][name]
        keys |= {str(key).split(".")[0] for key in stage.get("do", stage).get("params", [])}
    wanted = {str(_filled(dep, values)) for dep in deps}
    blobs = {
        path: blob
        for path, blob in files(commit).items()
        if any(path == dep or path == f"{dep}.dvc" or path.startswith(f"{dep}/") for dep in wanted)
    }
    texts = {name: pipeline["stages"][name] for name in sorted(stages)}
    chosen = {key: values.get(key) for key in sorted(keys)}
    return json.dumps([chosen, texts, blobs], sort_keys=True, default=str)


def _filled(dep: str, values: Mapping[str, Any]) -> Any:
    return at(values, dep[2:-1]) if dep.startswith("${") and dep.endswith("}") else dep
