"""The command line as a whole: quick, and every listed command is there and documented."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graded.cli import COMMANDS, Lazy, grouped, main
from tests.conftest import ROOT


def graded(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from graded.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    out = graded("--help")
    assert out.returncode == 0
    assert all(name in out.stdout and entry.help in out.stdout for name, entry in COMMANDS.items())
    assert sorted(name for names in grouped().values() for name in names) == sorted(COMMANDS)
    heavy = "{'torch', 'openai', 'duckdb', 'dvc'}"
    script = f"import sys; from graded.cli import app; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("profile no-such-profile", 1, "received 'no-such-profile'"),
        ("sumary", 2, "did you mean: graded summary"),
        ("qqq", 2, "graded --help"),
        ("train", 2, "dvc repro train"),
        ("ledger pul", 2, "ledger: no such command 'pul'"),
        ("fetch --too x", 2, "--to"),
        ("fetch", 2, "missing argument 'name'"),
        ("scale --gpus", 2, "requires an argument"),
        ("sweep x --jobs 0", 2, "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(arguments: str, code: int, says: str) -> None:
    out = graded(*arguments.split())
    assert (out.returncode, out.stdout) == (code, "")
    assert out.stderr.startswith("graded: ")
    assert out.stderr.count("\n") == 1
    assert says in out.stderr
    assert not out.stderr.startswith("graded: graded")


def commands() -> dict[str, Any]:
    """Return every command and, of a group, its own, by what is typed."""
    group = Lazy(name="graded")
    found: dict[str, Any] = {}
    for name in COMMANDS:
        command = group.get_command(None, name)
        inner = getattr(command, "commands", {})
        found |= {f"{name} {one}": value for one, value in inner.items()} or {name: command}
    return found


def test_every_example_is_a_command_line_that_parses() -> None:
    """Up to where it would begin to work: names of options, numbers of arguments, kinds of values."""
    for path, command in commands().items():
        examples = re.findall(r"^Example: (.*)$", command.help, re.MULTILINE)
        mine = [part.strip() for text in examples for part in text.split(";") if part.strip().startswith("graded")]
        assert mine, path
        for example in mine:
            assert example.startswith(f"graded {path}")
            assert len(example) <= 90
            command.make_context(path, shlex.split(example.removeprefix(f"graded {path}")))


def test_every_command_says_how_it_can_end() -> None:
    for path, command in commands().items():
        assert command.epilog.startswith("Exit codes: 0 done, 1 "), path
    assert "3 nothing may be bought" in commands()["probe"].epilog


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("graded pro", {"probe", "profile"}),
        ("graded ledger pu", {"publish", "pull"}),
        ("graded fetch --la", {"--languages"}),
        ("graded profile pa", {"paper"}),
        ("graded sweep figure", {"figure5", "figure6", "figure7"}),
        ("graded probe s", {"sample-a", "sample-b"}),
        ("graded nothing x", set()),
    ],
)
def test_the_shell_completes(typed: str, offered: set[str]) -> None:
    words = typed.split()
    asked = {"_GRADED_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "from graded.cli import app; app(prog_name='graded')"],
        cwd=ROOT, env=os.environ | asked, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, set(done.stdout.split())) == (0, offered)


def test_dvc_is_found_where_the_environment_is_not_the_active_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", ["graded", "--version"])
    with contextlib.suppress(SystemExit):
        main()
    assert shutil.which("dvc") == str(Path(sys.executable).parent / "dvc")
