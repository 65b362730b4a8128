"""`graded remote` against a real S3 server: what is written, what never is, and one line for each thing that fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graded import remote_check
from graded.cli import app
from graded.errors import GradedError, MissingError, ParamError, ServiceError
from tests.s3 import Bucket

pytestmark = pytest.mark.xdist_group("remote")

CONFIG = "[core]\n    analytics = false\n    check_update = false\n['remote \"sample\"']\n    url = ../sample/remote\n"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with Bucket() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> Path:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "repository"
    (home / ".dvc").mkdir(parents=True)
    (home / ".dvc" / "config").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(home)
    return home


def graded(*arguments: str) -> str:
    from dvc_s3 import S3FileSystem

    S3FileSystem(host="team").fs.clear_instance_cache()  # it keeps credentials; a command is a process of its own
    done = CliRunner().invoke(app, ["remote", *arguments])
    if isinstance(done.exception, GradedError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_it_is_set_tested_and_shown_and_holds_no_secret(folder: Path, bucket: Bucket) -> None:
    said = graded("s3://team/graded", "--endpoint", bucket.endpoint)
    assert "tested: reads and writes" in said
    assert bucket.objects() == {}
    config = (folder / ".dvc" / "config").read_text(encoding="utf-8")
    assert "remote = team" in config
    assert "url = ../sample/remote" in config
    assert "testing" not in config
    shown = graded()
    assert "s3://team/graded" in shown
    assert "sample" in shown
    assert "reads and writes" in shown
    assert "before: remote 'team' (s3://team/graded)" in graded(
        "s3://team/other", "--endpoint", bucket.endpoint, "--no-test"
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (["store"], ParamError, "a folder inside this repository"),
        (["sample/remote"], ParamError, "a folder inside this repository"),
        (["ftp://host/x"], ParamError, "legal: a folder, s3://"),
        (["s3://key:secret@team/x"], ParamError, "'s3://team/x' came with credentials"),
        (["s3://team/x", "--endpoint", "http://key:secret@host"], ParamError, "'http://host' came with credentials"),
        (["s3://team/x", "--option", "secret_access_key=abc"], ParamError, "secret_access_key is a secret"),
        (["s3://team/x", "--option", "regoin=eu"], ParamError, "did you mean 'region'"),
        (["s3://team/x", "--option", "read_timeout=soon"], ParamError, "DVC does not accept this"),
        (["s3://team/x", "--name", "sample"], ParamError, "the shipped sample's own"),
        (["gs://team/x"], MissingError, "pip install dvc-gs"),
        (["azure://team/x"], MissingError, "pip install dvc-azure"),
        (["ssh://me@host/x"], MissingError, "pip install dvc-ssh"),
        (["--endpoint", "http://host"], ParamError, "options without a URL"),
    ],
)
def test_what_may_not_be_the_remote_is_one_line_and_changes_nothing(
    folder: Path, arguments: list[str], kind: type[GradedError], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        graded(*arguments)
    assert "secret@" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert (folder / ".dvc" / "config").read_text(encoding="utf-8") == CONFIG


def test_a_folder_outside_is_kept_relative_to_the_repository(folder: Path) -> None:
    assert "reads and writes" in graded("../store")
    assert "url = ../../store" in (folder / ".dvc" / "config").read_text(encoding="utf-8")


@pytest.mark.slow
def test_each_failure_of_the_server_has_its_own_line(
    folder: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServiceError, match="no such bucket"):
        graded("s3://nobody/x", "--endpoint", bucket.endpoint)
    bucket.wire.hang = True
    monkeypatch.setattr(remote_check, "LIMIT", 0.5)
    with pytest.raises(ServiceError, match=r"too slow: no answer within 0\.5 s"):
        graded("s3://team/x", "--endpoint", bucket.endpoint)
    bucket.wire.hang = False
    monkeypatch.setattr(remote_check, "LIMIT", 60)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ServiceError, match=f"cannot reach http://127.0.0.1:{port}"):
        graded("s3://team/x", "--endpoint", f"http://127.0.0.1:{port}")
    bucket.tell("reset-auth", b"0")
    try:
        with pytest.raises(ServiceError, match="credentials missing or refused"):
            graded("s3://team/x", "--endpoint", bucket.endpoint)
    finally:
        bucket.tell("reset-auth", b"inf")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(ServiceError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        graded("s3://team/x", "--endpoint", bucket.endpoint)
