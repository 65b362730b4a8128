"""`graded review BASE`: what this branch does to the metrics, as one comment for its pull request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from graded.cli import here
from graded.console import say
from graded.errors import MissingError, ParamError


def review(
    base: Annotated[str | None, typer.Argument(help="Commit or branch that the change is against.")] = None,
    metric: Annotated[str, typer.Option(help="The metric whose changes are shown.")] = "nDCG@10",
    out: Annotated[Path | None, typer.Option(help="Write the comment to this file; default: print it.")] = None,
    post: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Post FILE on the pull request of this workflow, once.")
    ] = None,
) -> None:
    """Show a change's drift, params and metrics since it left BASE; exit code 1 where dvc.lock has drifted.

    Needs git alone; with data/evaluate of both sides (here or on the DVC remote) it tells change from noise.

    Example: graded review main

    Example: graded review origin/main --out comment.md

    Example: graded review --post comment.md
    """
    from graded.experiments import comment, github

    if (base is None) == (post is None):
        raise ParamError("review: name what to compare with (graded review main) or what to post (--post comment.md)")
    if post is not None:
        if not post.is_file():
            raise MissingError(f"review: no {post}; 'graded review main --out {post}' makes it")
        say(f"review: {github.post(os.environ, post.read_text(encoding='utf-8'), comment.MARKER)}")
        return
    here.repository("review")
    here.locked(Path())
    write(str(base), metric, out)


def write(base: str, metric: str, out: Path | None) -> None:
    """Print the comment, or write it to ``out``; leave with exit code 1 where dvc.lock has drifted."""
    from graded.experiments import comment
    from graded.experiments.review import review as compared
    from graded.formats.atomic import atomic

    found = compared(base, metric)
    server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    site = f"{server}/{repository}" if server and repository else None
    number = os.environ.get("GITHUB_RUN_ID")
    kept = site and number and Path("report/index.html").is_file()  # the workflow hangs report/ on its run
    text = comment.markdown(found, site, f"{site}/actions/runs/{number}" if kept else None)
    if out is None:
        print(text)
    else:
        with atomic(out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        say(f"review: {out} written")
    if found.drift:
        say(f"review: dvc.lock has drifted: {', '.join(found.drift)} would run; dvc repro, then commit dvc.lock")
        raise typer.Exit(1)
