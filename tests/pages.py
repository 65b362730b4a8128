"""The commands of a page of the documentation, run in a clone as one shell session."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests import clones
from tests.conftest import ROOT


def blocks(page: str) -> list[str]:
    """Return the bash blocks of a page of the repository."""
    return re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def script(parts: list[str]) -> str:
    """Return blocks as one script that says which block begins."""
    return "".join(f"echo '=== {number}'\n{block}" for number, block in enumerate(parts))


def install(target: Path) -> Path:
    """Put a `graded` that runs the clone's sources into ``target``/bin, which no commit takes in; return the folder."""
    folder = target / "bin"
    folder.mkdir()
    (folder / "graded").write_text('#!/bin/sh\nexec python -c "from graded.cli import main; main()" "$@"\n', "utf-8")
    (folder / "graded").chmod(0o755)
    with (target / ".git/info/exclude").open("a", encoding="utf-8") as file:
        file.write("/bin/\n")
    return folder


def run(target: Path, script: str, *, timeout: float, **more: str) -> tuple[int, str]:
    """Run ``script`` with bash, end what it left running, and return its exit code and all that it said."""
    environment = clones.environment(target, PYTHONPATH=f"{target / 'src'}:{target}", **more)
    environment["PATH"] = f"{target / 'bin'}:{environment['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", f"set -e\n{script}"], cwd=target, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        said = process.communicate(timeout=timeout)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    print(said)
    return process.returncode, said
