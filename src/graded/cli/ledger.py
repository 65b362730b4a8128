"""`graded ledger`: what the ledger of paid replies holds, and its way to and from the team."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graded import params
from graded.cli import here
from graded.console import say
from graded.errors import DataError, MissingError, many
from graded.llm.census import census, export
from graded.llm.ledger import Ledger
from graded.llm.record import PROVENANCE, readings, record
from graded.llm.repair import repair, verify
from graded.llm.request import Model
from graded.llm.share import merge, publish, pull
from graded.llm.store import Store

app = typer.Typer(
    help="The ledger of paid replies.\n\nExample: graded ledger status",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def ledger() -> None:
    """Work on the ledger of the repository that this is called in."""
    here.repository("ledger")


@app.command("status")
def status_command() -> None:
    """Show replies and dollars (of each stage and in all too), and what may be lost or damaged.

    Example: graded ledger status
    """
    ledger = Ledger()
    found = census(ledger)
    if found.groups:
        say(f"{'stage':<8}{'model':<36}{'lang':<6}{'replies':>10}{'prompt':>14}{'completion':>13}{'dollars':>11}")
    for group, count in [*sorted(found.groups.items()), *found.totals()]:
        say(
            f"{group.stage:<8}{group.model[:35]:<36}{group.language:<6}{count.replies:>10,}{count.prompt:>14,}"
            f"{count.completion:>13,}{count.dollars:>11,.2f}"
        )
    store, state = ledger.store, ledger.state
    twice = f" ({found.twice:,} of them bought twice)" if found.twice else ""
    say(f"replies        {found.replies:,}{twice}")
    say(f"files          {len(store.segments()):,} sealed, {len(store.writers()):,} open")
    say(f"possibly paid  {many(found.lost, 'request')} that may have been billed, at most ${found.lost_dollars:,.2f}")
    say(f"this clone     ${state.paid:,.2f} paid, ${state.lost + state.reserved:,.2f} possibly paid or in flight")
    try:
        store.check_snapshot()
    except MissingError as error:
        say(f"not here       {error}")
    for path in store.damage():
        say(f"damaged        {path}; see: graded ledger verify")
    for why in state.pending.damaged.values():
        say(f"damaged        {why}")


@app.command("verify")
def verify_command(
    mend: Annotated[bool, typer.Option("--repair", help="keep what is whole of damaged files")] = False,
) -> None:
    """Check every checksum of every file.

    Damaged originals are kept in .ledger/aside, and what they cost goes on counting against the budget.

    Example: graded ledger verify --repair
    """
    store = Ledger().store
    left = []
    lines = files = repaired = 0
    for path, count, problem in verify(store):
        files, lines = files + 1, lines + count
        done = repair(store, path) if problem and mend else None
        if problem:
            say(f"{path}: {problem}" + (f"; {done}" if done else ""))
        repaired += done is not None
        if problem and not done:
            left.append(path)
    if left:
        raise DataError(f"{len(left)} of {files} files are damaged; {_next(store, left, mended=mend)}")
    others = f" but those of {repaired} repaired files, whose originals are in {store.aside}" if repaired else ""
    say(f"{many(files, 'file')}, {many(lines, 'line')}: all checksums hold{others}")


def _next(store: Store, damaged: list[Path], *, mended: bool) -> str:
    """Return the command that mends ``damaged``."""
    if any(path.parent == store.snapshot for path in damaged):
        return "'dvc checkout --force data/ledger.dvc' restores data/ledger"
    if mended:
        return "those of a process that still runs can be repaired once it has ended"
    return "'graded ledger verify --repair' keeps what is whole of them"


@app.command("merge")
def merge_command(
    revision: Annotated[str, typer.Argument(help="a branch, tag or commit of this repository")],
) -> None:
    """Unite another revision's ledger with this one's.

    Also in the middle of a git merge, whose dvc.lock it settles too.

    Example: git merge theirs; graded ledger merge theirs; dvc repro; git add --all; git commit
    """
    done = merge(Ledger().store, revision)
    say(
        f"data/ledger: {many(done.added, 'segment')} added of {done.segments};"
        " now: git add data/ledger.dvc && git commit"
    )
    say("not sent anywhere yet; to send it: graded ledger publish --push")


@app.command("export")
def export_command(path: Annotated[Path, typer.Argument(help="a file named .parquet or .jsonl")]) -> None:
    """Write every reply to one file, for other tools.

    Example: graded ledger export replies.parquet
    """
    say(f"{many(export(Ledger(), path), 'reply')} written to {path}")


@app.command("record")
def record_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL or TSV files of recorded readings")],
    provenance: Annotated[str, typer.Option(help="kept with each reply")] = PROVENANCE,
) -> None:
    """Enter readings that nobody was paid for, as replies of cost 0.

    Example: graded ledger record readings.tsv
    """
    values = params.load()
    query = {name: value for name, value in (values.get("query") or {}).items() if name in Model.model_fields}
    writer = params.parse("query", query, Model) if query else None
    grade = params.at(values, "grade.annotators") or {}
    annotators = {name: params.parse(f"grade.annotators.{name}", one, Model) for name, one in grade.items()}
    rows = (row for path in files for row in readings(path))
    written, there = record(Ledger(), rows, writer, annotators, provenance)
    say(f"{many(written, 'reply')} recorded, {there:,} were there")


@app.command("publish")
def publish_command(
    push: Annotated[bool, typer.Option("--push", help="also send it to DVC's default remote")] = False,
) -> None:
    """Add this clone's paid replies to data/ledger.dvc.

    Example: graded ledger publish --push
    """
    done = publish(Ledger().store, push=push)
    say(
        f"data/ledger: {many(done.added, 'segment')} added of {done.segments};"
        " now: git add data/ledger.dvc && git commit"
    )
    if not push:
        say("not sent anywhere yet; to send it: graded ledger publish --push")


@app.command("pull")
def pull_command() -> None:
    """Fetch the team's paid replies: what data/ledger.dvc names.

    Example: graded ledger pull
    """
    pull(Ledger().store)
    say(f"data/ledger is here: {many(len(Ledger().state.known), 'reply')}")
