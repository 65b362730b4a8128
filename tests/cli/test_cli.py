"""The command line as a whole: quick, and every listed command is there and documented."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import typer

from graded.cli import COMMANDS


def graded(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from graded.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example(name: str) -> None:
    module, _, target = COMMANDS[name].target.partition(":")
    found = getattr(importlib.import_module(module), target)
    text = found.info.help if isinstance(found, typer.Typer) else found.__doc__
    assert text
    assert "Example" in text
    assert graded(name, "--help").returncode == 0


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    out = graded("--help")
    assert out.returncode == 0
    assert all(name in out.stdout and entry.help in out.stdout for name, entry in COMMANDS.items())
    heavy = "{'torch', 'openai', 'duckdb', 'dvc'}"
    script = f"import sys; from graded.cli import app; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_error_is_one_line_and_an_exit_code() -> None:
    out = graded("profile", "no-such-profile")
    assert out.returncode == 1
    assert out.stderr.startswith("graded: ")
    assert out.stderr.count("\n") == 1
    assert graded("no-such-command").returncode == 2
