"""`graded push-model`: the trained model's folder to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graded.cli import here
from graded.console import say
from graded.errors import ServiceError, many
from graded.formats.record import read_record


def push_model(
    name: Annotated[str, typer.Argument(help="owner/model on the hub.")],
    model: Annotated[Path, typer.Option(help="The model's folder.")] = Path("data/model"),
    metrics: Annotated[Path, typer.Option(help="Its results, for the card.")] = Path("metrics/evaluate.json"),
    public: Annotated[bool, typer.Option("--public", help="A new repository is private without it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list, send nothing.")] = False,
    message: Annotated[str, typer.Option(help="Commit message.")] = "graded push-model",
) -> None:
    """Send the model to the hub in one commit, after checking every file against encoder.json.

    Example: graded push-model my-team/e5-small-fi --dry-run
    """
    from graded.experiments.git import git
    from graded.retrieval import publish
    from graded.retrieval.training import card

    publish.check_name(name)
    if not model.is_dir() and not model.is_absolute():
        here.repository("push-model")
    files = publish.plan(model)
    try:
        commit = git("rev-parse", "HEAD") + (" and changes to it" if git("status", "--porcelain", "-uno") else "")
    except ServiceError:
        commit = None
    results = read_record(metrics) if metrics.is_file() else {}
    text = card.completed((model / "README.md").read_text(encoding="utf-8"), results, commit)
    said = f"results of {metrics}" if results else f"no results ({metrics} is not here; 'dvc repro evaluate' makes it)"
    say(f"model card: {said}, commit {commit or 'unknown (no git repository here)'}")
    for path, size in files.items():
        say(f"{size:>13,}  {path}")
    total = f"{many(len(files), 'file')}, {sum(files.values()) / 1e6:,.1f} MB"
    if dry_run:
        say(f"dry run: {model} would go to {name} ({'public' if public else 'private'}): {total}; nothing was sent")
        return
    say(f"{name}: {total}: {publish.push(model, name, files, card=text, private=not public, message=message)}")
