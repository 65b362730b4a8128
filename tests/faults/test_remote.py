"""The team's S3 server fails in every way while the ledger travels: one line, nothing lost, the next try goes on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graded import remote
from graded.llm.ledger import Ledger
from graded.llm.store import Store
from graded.llm.writer import Writer
from tests import clones
from tests.llm.test_ledger import reply
from tests.s3 import NAME, Bucket

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("team"), pytest.mark.timeout(900)]

GRADED = [sys.executable, "-c", "from graded.cli import main; main()"]


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with Bucket() as found:
        yield found


@pytest.fixture
def clone(tmp_path: Path, bucket: Bucket) -> Path:
    """A repository with the bucket as its remote and 400 replies in its ledger, nothing published."""
    folder = tmp_path / "mine"
    folder.mkdir()
    clones.git(folder, "init", "--quiet", "--initial-branch=main")
    assert clones.run(folder, "dvc", "init", "--quiet").returncode == 0
    (folder / "data").mkdir()
    (folder / "data" / ".gitignore").write_text("/*\n!/.gitignore\n!/*.dvc\n")
    (folder / ".gitignore").write_text("/.ledger/\n")
    (folder / "params.yaml").write_text("tau: 2\n")
    graded(folder, bucket, "remote", f"s3://{NAME}/graded", "--endpoint", bucket.endpoint)
    clones.commit(folder, "start")
    fill(folder, 0)
    return folder


def fill(folder: Path, start: int) -> None:
    """Buy 400 replies of a kilobyte of noise each."""
    with Writer(Store(folder)) as live:
        live.write([reply(number, text=os.urandom(500).hex()) for number in range(start, start + 400)])


def graded(folder: Path, bucket: Bucket, *words: str, fails: bool = False, **more: str) -> str:
    """Run `graded` in the clone; return its output, or where it must fail the one line it failed with."""
    done = subprocess.run(
        [*GRADED, *words], cwd=folder, env=clones.environment(folder, **{**bucket.environment, **more}) | SOURCES,
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    if not fails:
        return done.stdout
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("graded: ")
    return said[0]


SOURCES = {"PYTHONPATH": str(Path(remote.__file__).parents[1])}


def other(clone: Path, tmp_path: Path) -> Path:
    """Clone what was committed."""
    clones.commit(clone, "ledger")
    clones.git(tmp_path, "clone", "--quiet", str(clone), "theirs")
    return tmp_path / "theirs"


def known(folder: Path) -> int:
    return len(Ledger(folder).state.known)


def test_a_server_that_is_down(clone: Path, bucket: Bucket, tmp_path: Path) -> None:
    port, bucket.wire.port = bucket.wire.port, 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        gone = f"http://127.0.0.1:{free.getsockname()[1]}"
    graded(clone, bucket, "remote", f"s3://{NAME}/graded", "--endpoint", gone, "--no-test")
    said = graded(clone, bucket, "ledger", "publish", "--push", fails=True)
    assert f"cannot reach {gone}" in said
    assert "the same command goes on" in said
    assert known(clone) == 400
    bucket.wire.port = port
    graded(clone, bucket, "remote", f"s3://{NAME}/graded", "--endpoint", bucket.endpoint)
    graded(clone, bucket, "ledger", "publish", "--push")
    theirs = other(clone, tmp_path)
    graded(theirs, bucket, "ledger", "pull")
    assert known(theirs) == 400


def test_a_server_that_does_not_answer(clone: Path, bucket: Bucket) -> None:
    bucket.wire.hang = True
    said = graded(clone, bucket, "ledger", "publish", "--push", fails=True)
    assert "is too slow: no answer within 20 s" in said
    bucket.wire.hang = False
    graded(clone, bucket, "ledger", "publish", "--push")
    assert len(bucket.objects()) == 2


def test_a_slow_server_is_waited_for(clone: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.wire.delay = 0.7
    graded(clone, bucket, "ledger", "publish", "--push")
    theirs = other(clone, tmp_path)
    graded(theirs, bucket, "ledger", "pull")
    assert known(theirs) == 400


def test_wrong_and_missing_credentials(clone: Path, bucket: Bucket) -> None:
    bucket.tell("reset-auth", b"0")
    said = graded(clone, bucket, "ledger", "publish", "--push", AWS_SECRET_ACCESS_KEY="wrong", fails=True)
    assert "credentials missing or refused" in said
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or ~/.aws" in said
    assert "wrong" not in said
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true"}
    assert "credentials missing" in graded(clone, bucket, "ledger", "publish", "--push", **nobody, fails=True)
    bucket.tell("reset-auth", b"inf")
    graded(clone, bucket, "ledger", "publish", "--push")
    assert known(clone) == 400


def test_a_bucket_that_is_not_there(clone: Path, bucket: Bucket, tmp_path: Path) -> None:
    bucket.client().delete_bucket(Bucket=NAME)
    said = graded(clone, bucket, "ledger", "publish", "--push", fails=True)
    assert f"remote 'team' (s3://{NAME}/graded): no such bucket or folder" in said
    theirs = other(clone, tmp_path)
    assert "no such bucket or folder" in graded(theirs, bucket, "ledger", "pull", fails=True)
    bucket.client().create_bucket(Bucket=NAME)
    assert "graded ledger publish --push" in graded(theirs, bucket, "ledger", "pull", fails=True)
    graded(clone, bucket, "ledger", "publish", "--push")
    graded(theirs, bucket, "ledger", "pull")
    assert known(theirs) == 400


def test_an_upload_that_is_cut_half_way(clone: Path, bucket: Bucket, tmp_path: Path) -> None:
    """A second segment is on its way when each connection breaks after 100 kB; the first stays whole."""
    graded(clone, bucket, "ledger", "publish", "--push")
    whole = bucket.objects()
    fill(clone, 400)
    bucket.wire.cut_after = 100_000
    said = graded(clone, bucket, "ledger", "publish", "--push", fails=True)
    assert "what was sent is kept, and the same command goes on" in said
    assert whole.items() <= bucket.objects().items(), "nothing that was there may go, nothing may come in half"
    assert {size for size in bucket.objects().values() if size > 1000} == {max(whole.values())}
    bucket.wire.cut_after = None
    graded(clone, bucket, "ledger", "publish", "--push")
    theirs = other(clone, tmp_path)
    graded(theirs, bucket, "ledger", "pull")
    assert known(theirs) == known(clone) == 800


def test_a_damaged_object_is_named_and_sent_again(clone: Path, bucket: Bucket, tmp_path: Path) -> None:
    graded(clone, bucket, "ledger", "publish", "--push")
    fill(clone, 400)
    graded(clone, bucket, "ledger", "publish", "--push")
    theirs = other(clone, tmp_path)
    name = next(path for path, size in bucket.objects().items() if size > 1000)
    size = bucket.objects()[name]
    bucket.client().put_object(Bucket=NAME, Key=name, Body=b"x" * size)
    said = graded(theirs, bucket, "ledger", "pull", fails=True)
    assert "1 of 2 segments are missing or damaged there" in said
    assert name.removeprefix("graded/") in said
    assert "graded ledger pull" in stopped(theirs)
    bucket.client().delete_object(Bucket=NAME, Key=name)
    graded(clone, bucket, "ledger", "publish", "--push")
    graded(theirs, bucket, "ledger", "pull")
    assert known(theirs) == 800


def stopped(folder: Path) -> str:
    """Return why nothing would be bought in this clone."""
    from graded.errors import MissingError

    with pytest.raises(MissingError) as caught:
        Store(folder).check_snapshot()
    return str(caught.value)


def push(folder: Path, bucket: Bucket) -> subprocess.CompletedProcess[str]:
    keys = [f"{name}={value}" for name, value in bucket.environment.items()]
    return clones.run(folder, "env", *keys, "dvc", "push")


def test_plain_dvc_fails_as_documented_and_goes_on(clone: Path, bucket: Bucket) -> None:
    """What docs/team.md says of `dvc push` itself: it fails, keeps what it has sent, and goes on."""
    graded(clone, bucket, "ledger", "publish")
    bucket.wire.cut_after = 100_000
    cut = push(clone, bucket)
    assert cut.returncode != 0
    assert "files failed to upload" in cut.stderr
    bucket.wire.cut_after = None
    assert push(clone, bucket).returncode == 0
    assert len(bucket.objects()) == 2
