"""`graded push-model`: the trained model's folder to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graded.console import say


def push_model(
    name: Annotated[str, typer.Argument(help="owner/model on the hub.")],
    model: Annotated[Path, typer.Option(help="The model's folder.")] = Path("data/model"),
    public: Annotated[bool, typer.Option("--public", help="A new repository is private without it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list, send nothing.")] = False,
    message: Annotated[str, typer.Option(help="Commit message.")] = "graded push-model",
) -> None:
    """Send the model to the hub in one commit, after checking every file against encoder.json.

    Example: graded push-model my-team/e5-small-fi --dry-run
    """
    from graded.retrieval import publish

    publish.check_name(name)
    files = publish.plan(model)
    for path, size in files.items():
        say(f"{size:>13,}  {path}")
    total = f"{len(files)} files, {sum(files.values()) / 1e6:,.1f} MB"
    if dry_run:
        say(f"dry run: {model} would go to {name} ({'public' if public else 'private'}): {total}; nothing was sent")
        return
    say(f"{name}: {total}: {publish.push(model, name, files, private=not public, message=message)}")
