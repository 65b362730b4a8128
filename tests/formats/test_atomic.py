"""What a process that was killed leaves half-written goes away with the next write; a living one's stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graded.errors import ServiceError
from graded.formats import atomic

KILLED = """
import os, signal, sys
from pathlib import Path
from graded.formats.atomic import atomic, atomic_folder
with atomic_folder(Path(sys.argv[1])) as folder, atomic(Path(sys.argv[2])) as file:
    (folder / "half").write_text("x"); file.write_text("y")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out"), str(tmp_path / "file")], check=False)
    assert len(list(tmp_path.iterdir())) == 4 - 2, "the second process swept what the first had left"
    mine = f".own.{atomic.HOST}-{os.getpid():x}-01234567.tmp"
    far = ".far.000000-1-01234567.tmp"
    for name in (mine, far, "kept.tmp", ".kept.tmp"):
        (tmp_path / name).write_text("kept")
    atomic._swept.discard(tmp_path.resolve())
    atomic.write_text(tmp_path / "file", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine, far, "kept.tmp", ".kept.tmp", "file"])


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "x"), r"disk full while writing data/corpus/fi\.parquet"),
        (RuntimeError("IO Error: Could not write file: No space left on device"), "disk full while writing"),
        (OSError(errno.EROFS, "x"), "may not write data/corpus/fi.parquet .Read-only file system."),
    ],
)
def test_a_full_disk_is_said_in_one_line_with_the_name_that_a_user_knows(error: Exception, says: str) -> None:
    inside = Path(f"data/.corpus.{atomic.HOST}-1f-01234567.tmp/.fi.parquet.{atomic.HOST}-1f-01234567.tmp")
    with pytest.raises(ServiceError, match=says):
        atomic.raise_disk(inside, error)
    atomic.raise_disk(inside, ValueError("something else"))


def test_of_two_that_write_one_folder_at_once_one_stays_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def write(text: str) -> None:
        with atomic.atomic_folder(out) as folder:
            for name in ("a", "b"):
                (folder / name).write_text(text)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, map(str, range(64))))
    assert (out / "a").read_text() == (out / "b").read_text()
    assert list(tmp_path.iterdir()) == [out]
