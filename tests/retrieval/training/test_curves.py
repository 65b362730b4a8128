"""Curves in folders that are, and are not yet, a git repository with a commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from graded.errors import MissingError
from graded.retrieval.training.curves import Curves


def test_a_repository_without_a_commit_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, check=True)
    with pytest.raises(MissingError, match="a git repository with a commit"):
        Curves(Path("curves"), Path("speed"), 3, [])
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "--quiet", "--allow-empty", "--message", "start"], check=True)
    curves = Curves(Path("curves"), Path("speed"), 3, [])
    curves.add(1, 2.0, 1e-3, 10)
    curves.end(loss=2.0)
    assert (Path("curves") / "plots" / "metrics" / "loss.tsv").read_text().splitlines() == ["step\tloss", "1\t2.0"]
