"""`graded remote` against a real S3 server: what is written, what never is, and one line for each thing that fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graded import remote_check
from graded.cli import app
from graded.cli.remote import remote
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


NONSENSE = [
    (["https://h/p?sig=HIDE-ME"], "'https://h/p' came with a query"),
    (["s3://team/x?X-Amz-Signature=HIDE-ME"], "dvc remote modify --local team OPTION VALUE"),
    (["https://h/p#token=HIDE-ME"], "came with a query"),
    (["s3://team/x", "--endpoint", "https://h?key=HIDE-ME"], "--endpoint: 'https://h' came with a query"),
    (["s3://team/x", "--option", "endpointurl=https://HIDE-ME@h"], "--endpoint: 'https://h' came with credentials"),
    (["s3://team/x", "--option", "url=https://h/p?sig=HIDE-ME"], "came with a query"),
    (["s3://team/x", "--option", "url=s3://other/y"], "received 'url'"),
    (["s3://"], "names no bucket or host"),
    (["s3:///x"], "names no bucket or host"),
    (["s3://:80/x"], "names no bucket or host"),
    (["s3://team/a b"], "without white space"),
    (["s3://team/a\nb"], "without white space"),
    (["../a\nb"], "without white space"),
    (["s3://[team/x"], "no address"),
    (["s3://team/x", "--endpoint", "notaurl"], "expected such as https://"),
    (["s3://team/x", "--endpoint", "https://"], "names no bucket or host"),
    (["s3://team/x", "--endpoint", "https://h:port"], "no address"),
    (["s3://team/x", "--endpoint", ""], "expected such as https://"),
    (["s3://team/x", "--region", "eu\n[core]"], "expected one line of text"),
]


def test_a_working_remote_stays_where_a_secret_or_nonsense_is_given(folder: Path) -> None:
    graded("../store", "--no-test")
    before = (folder / ".dvc" / "config").read_bytes()
    for (url, *words), says in NONSENSE:
        given = dict(zip(words[::2], words[1::2], strict=True))
        options = [given["--option"]] if "--option" in given else []
        with pytest.raises(ParamError) as caught:
            remote(url, given.get("--endpoint"), given.get("--region"), None, options, "team", test=False)
        assert says in str(caught.value)
        assert "HIDE-ME" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert (folder / ".dvc" / "config").read_bytes() == before


def test_what_stood_there_before_is_shown_without_its_query(folder: Path) -> None:
    named = CONFIG.replace("[core]\n", "[core]\n    remote = team\n")
    text = named + "['remote \"team\"']\n    url = https://h/p?sig=HIDE-ME\n"
    (folder / ".dvc" / "config").write_text(text, encoding="utf-8")
    said = graded("../store", "--no-test")
    assert "before: remote 'team' (https://h/p)\n" in said
    assert "HIDE-ME" not in said


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
