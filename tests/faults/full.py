"""``python -m tests.faults.full FOLDER KILOBYTES COMMAND...``: COMMAND on a copy of FOLDER whose disk is full.

The copy lies on a file system of its own in memory, which is filled but for KILOBYTES; then the filler is removed and
COMMAND runs again. Prints one JSON object: both runs, what lay there between them, the ledger's replies then, and the
digests at the end. To be started by :func:`on_a_full_disk`, in a name space in which it may mount.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ENTER = ["unshare", "--user", "--mount", "--map-root-user"]
#: Room beside what the folder holds, in MB.
ROOM = 64


def on_a_full_disk(folder: Path, kilobytes: int, command: list[str], **environment: str) -> dict[str, Any]:
    """Run ``command`` as this module does and return what it printed; skip the test where nothing may be mounted."""
    tried = subprocess.run([*ENTER, "mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no file system may be mounted here")
    done = subprocess.run(
        [*ENTER, sys.executable, "-m", "tests.faults.full", str(folder), str(kilobytes), *command],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Mount, copy, fill, run, free, run again."""
    folder, kilobytes, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) + (ROOM << 20)
    held = os.open(folder, os.O_RDONLY)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size >> 10}k", "tmpfs", str(folder)], check=True)
    subprocess.run(["cp", "-a", f"/proc/self/fd/{held}/.", str(folder)], check=True, pass_fds=[held])
    filler = folder / "filler"
    _fill(filler, kilobytes)
    first = _run(folder, command)
    between = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path != filler)
    replies = sum(b'"kind":"reply"' in line for path in folder.glob(".ledger/live/*") for line in path.open("rb"))
    filler.unlink()
    second = _run(folder, command)
    print(
        json.dumps({"first": first, "between": between, "replies": replies, "second": second, "files": digests(folder)})
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file under data/ and metrics/ that is not hidden."""
    paths = [path for word in ("data", "metrics") for path in sorted((folder / word).rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _fill(path: Path, kilobytes: int) -> None:
    with path.open("wb", buffering=0) as file:
        for step in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(step))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        file.truncate(file.tell() - (kilobytes << 10))


def _run(folder: Path, command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


if __name__ == "__main__":
    main()
