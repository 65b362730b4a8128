"""Publishing and pulling the ledger with a real git and DVC repository and a real remote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graded.errors import MissingError, ParamError
from graded.llm.ledger import Ledger, spent
from graded.llm.share import merge, publish, pull
from graded.llm.store import Store
from graded.llm.writer import Writer
from tests.llm.test_ledger import reply


def command(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_COMMITTER_NAME": "a", "DVC_NO_ANALYTICS": "1"}
    environment |= {"GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_EMAIL": "a@example.org"}
    program = [sys.executable, "-m", "dvc"] if arguments[0] == "dvc" else [arguments[0]]
    done = subprocess.run(
        [*program, *arguments[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    command(folder, "git", "init", "-q", "-b", "main")
    command(folder, "dvc", "init", "-q")
    command(folder, "dvc", "remote", "add", "-q", "-d", "team", str(tmp_path / "remote"))
    (folder / ".gitignore").write_text("/.ledger/\n/data/*\n!/data/*.dvc\n")
    command(folder, "git", "add", "-A")
    command(folder, "git", "commit", "-q", "-m", "start")
    return folder


def buy(folder: Path, *numbers: int) -> None:
    with Writer(Store(folder)) as live:
        live.write([reply(number) for number in numbers])


@pytest.mark.timeout(120)
def test_what_one_published_another_reads_and_adds_to(repository: Path, tmp_path: Path) -> None:
    buy(repository, 0, 1)
    assert publish(Store(repository), push=True) == (1, 1)
    buy(repository, 2)
    assert publish(Store(repository), push=True) == (1, 2)
    assert publish(Store(repository)) == (0, 2)
    command(repository, "git", "add", "-A")
    command(repository, "git", "commit", "-q", "-m", "ledger")
    command(tmp_path, "git", "clone", "-q", str(repository), "other")
    other = tmp_path / "other"
    with pytest.raises(MissingError, match=r"run: graded ledger pull$"):
        publish(Store(other))
    pull(Store(other))
    assert len(Ledger(other).state.known) == 3
    assert spent(other).paid == 0.0
    assert spent(repository).paid == 1.5
    buy(other, 3)
    assert publish(Store(other)) == (1, 3)
    command(other, "git", "checkout", "-q", "-b", "more")
    command(other, "git", "add", "-A")
    command(other, "git", "commit", "-q", "-m", "more")
    command(other, "git", "checkout", "-q", "main")
    command(other, "dvc", "checkout", "-q", "--force", "data/ledger.dvc")
    assert len(list((other / "data/ledger").iterdir())) == 2
    assert merge(Store(other), "more") == (1, 3)
    assert len(Ledger(other).state.known) == 4
    with pytest.raises(ParamError, match=r"no revision .nowhere. here; expected a branch"):
        merge(Store(other), "nowhere")


def test_no_push_can_end_in_the_sample_and_a_team_with_a_remote_gets_the_ledger(
    repository: Path, tmp_path: Path
) -> None:
    """The shipped data/ledger.dvc says `remote: sample` and `push: false`; DVC keeps both when the folder is added."""
    config = repository / ".dvc" / "config"
    team = config.read_text()
    config.write_text("['remote \"sample\"']\n    url = ../sample/remote\n")
    buy(repository, 0)
    publish(Store(repository))
    pointer = repository / "data/ledger.dvc"
    pointer.write_text(pointer.read_text() + "  remote: sample\n  push: false\n")
    buy(repository, 1)
    with pytest.raises(MissingError, match="graded remote s3://"):
        publish(Store(repository), push=True)
    publish(Store(repository))
    assert "push: false" in pointer.read_text()
    assert "remote: sample" in pointer.read_text()
    with pytest.raises(subprocess.CalledProcessError):
        command(repository, "dvc", "push")
    assert not (repository / "sample").exists()
    config.write_text(team + "['remote \"sample\"']\n    url = ../sample/remote\n")
    publish(Store(repository), push=True)
    assert "sample" not in pointer.read_text()
    assert "push" not in pointer.read_text()
    assert not (repository / "sample").exists()
    assert sum(path.is_file() for path in (tmp_path / "remote").rglob("*")) == 3


def test_nothing_to_publish_or_pull_is_said(repository: Path) -> None:
    with pytest.raises(MissingError, match="nothing to publish"):
        publish(Store(repository))
    with pytest.raises(MissingError, match="nobody has published"):
        pull(Store(repository))
