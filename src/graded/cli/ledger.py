"""`graded ledger`: what the ledger of paid replies holds, and its way to and from the team."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graded import params
from graded.console import say
from graded.llm.ledger import Ledger
from graded.llm.record import PROVENANCE, readings, record
from graded.llm.request import Model
from graded.llm.share import publish, pull

app = typer.Typer(help="The ledger of paid replies.", no_args_is_help=True)


@app.command("record")
def record_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL or TSV files of recorded readings")],
    provenance: Annotated[str, typer.Option(help="kept with each reply")] = PROVENANCE,
) -> None:
    """Write readings that nobody was paid for into the ledger, as replies of cost 0."""
    values = params.load()
    query = {name: value for name, value in (values.get("query") or {}).items() if name in Model.model_fields}
    writer = params.parse("query", query, Model) if query else None
    grade = (values.get("grade") or {}).get("annotators") or {}
    annotators = {name: params.parse(f"grade.annotators.{name}", one, Model) for name, one in grade.items()}
    rows = (row for path in files for row in readings(path))
    written, there = record(Ledger(), rows, writer, annotators, provenance)
    say(f"{written:,} replies recorded, {there:,} were there")


@app.command("publish")
def publish_command(
    push: Annotated[bool, typer.Option("--push", help="also send it to DVC's default remote")] = False,
) -> None:
    """Add this clone's paid replies to data/ledger and track it in data/ledger.dvc."""
    done = publish(Ledger().store, push=push)
    say(f"data/ledger: {done.added} segments added, {done.segments} in all; now: git add data/ledger.dvc && git commit")


@app.command("pull")
def pull_command() -> None:
    """Fetch the team's paid replies: what data/ledger.dvc names."""
    pull(Ledger().store)
    say(f"data/ledger is here: {len(Ledger().state.known):,} replies")
