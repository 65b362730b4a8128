"""`graded doctor`: what is ready in this clone, what is not, and the next command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer

from graded.cli import checks, checks_paid, here
from graded.cli.checks import Finding, guarded
from graded.cli.terminal import WIDTH
from graded.console import say

INDENT = 18


def doctor(
    ask: Annotated[bool, typer.Option("--test/--no-test", help="Ask the team's remote for real.")] = True,
) -> None:
    """Check Python, git, params, DVC, remote, keys, GPU, disk and ledger; nothing is changed or bought.

    Each line says ok, warn (some of the work cannot be done) or fail; the last line is what to type next. The exit code
    is 1 where anything failed. A key is never shown, only whether its variable is set.

    Example: graded doctor
    """
    found = findings(Path(), ask)
    for one in found:
        say(shown(one))
    bad = [one for one in found if one.state == "fail"]
    say(f"next: {next_command(found, Path())}")
    if bad:
        raise typer.Exit(1)


def findings(root: Path, ask: bool) -> list[Finding]:
    """Return what every check found; a failure that several come upon is told once."""
    found: list[Finding] = []
    for name, look in looks(root, ask).items():
        said = {one.text for one in found if one.state == "fail"}
        found += [one for one in guarded(name, look) if one.text not in said]
    return found


def looks(root: Path, ask: bool) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Return the checks by name; outside of a graded repository, those of Python and git alone."""
    found: dict[str, Callable[[Path], Iterator[Finding]]] = {"python": checks.python, "git": checks.git}
    if here.away(root) is None:
        found |= {
            "params.yaml": checks.settings, "dvc.lock": checks.lock, "DVC": checks.rwlock,
            "remote": partial(checks.team, ask=ask), "gpu": checks.gpu, "disk": checks.disk,
            "ledger": checks_paid.ledger, "key": checks_paid.keys, "budget": checks_paid.budget,
        }  # fmt: skip
    else:
        found["repository"] = checks.elsewhere
    return {name: partial(look, root) for name, look in found.items()}


def shown(one: Finding) -> str:
    """Return a finding as one line; what is longer than a terminal goes on below its text."""
    text = f"{one.text}; {one.command}" if one.command else one.text
    start = f"{one.state:<6}{one.name:<{INDENT - 6}}"
    return fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * INDENT, break_on_hyphens=False)


def next_command(found: list[Finding], root: Path) -> str:
    """Return what to type: the first failure's command, or the next step of a clone that is well."""
    for one in found:
        if one.state == "fail":
            return one.command or f"mend {one.name}, as its line says"
    if not (root / "data/evaluate").exists() or here.differing(("sample", "query", "grade"), root):
        warned = {one.name: one for one in found if one.state == "warn"}
        if not {"key", "budget"} & set(warned):
            return "dvc repro"
        key = warned["key"].command + "; " if "key" in warned else ""
        return f"{checks_paid.ESTIMATE}; then {key}GRADED_BUDGET_USD=10 dvc repro"
    return "graded summary; then an experiment: dvc exp run -S tau=3"
