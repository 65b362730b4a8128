"""`graded remote`: the team's remote, set without credentials and tested for real."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graded.console import say
from graded.errors import ParamError
from graded.llm import share
from graded.remote import SAMPLE, bare, legal, named, write
from graded.remote_check import check


def remote(
    url: Annotated[
        str | None, typer.Argument(help="s3://bucket/prefix, gs://, azure://, ssh://, or a folder outside this one.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Address of an S3 server that is not Amazon's.")] = None,
    region: Annotated[str | None, typer.Option(help="Region of the bucket (s3).")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile in ~/.aws (s3).")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Any other option of DVC's remote: NAME=VALUE.")] = None,
    name: Annotated[str, typer.Option(help="Name of the remote.")] = "team",
    test: Annotated[bool, typer.Option("--test/--no-test", help="Write, read and remove a small object.")] = True,
) -> None:
    """Set the team's remote, DVC's default one; without a URL show what is set. Both test the connection.

    Credentials are never written: they come from the environment, ~/.aws, or `dvc remote modify --local`.

    Example: graded remote s3://bucket/prefix --endpoint https://minio.example.org
    """
    root = Path()
    given = {"endpointurl": endpoint, "region": region, "profile": profile}
    options = {key: value for key, value in given.items() if value is not None}
    for one in option or []:
        key, mark, value = one.partition("=")
        if not mark:
            raise ParamError(f"--option: received {one!r}; expected NAME=VALUE")
        options[key] = value
    if url is None:
        if options:
            raise ParamError("graded remote: options without a URL; expected: graded remote s3://bucket/prefix ...")
        show(root, test)
        return
    legal(root, name, url, options)
    before = named(root)
    write(root, name, url, options)
    now = named(root)
    if before is not None and now is not None and before.url != now.url:
        say(f"before: {before}")
    say(f".dvc/config: default remote {name!r} is {bare(url)}")
    if now is not None and now.name != name:
        say(f".dvc/config.local names {now.name!r} as the default, which goes first in this clone")
    say("now: git add .dvc/config && git commit, then: graded ledger publish --push && dvc push")
    if test:
        say(f"tested: {check(root, name)}")


def show(root: Path, test: bool) -> None:
    """Say what is set, where the ledger's snapshot goes, and whether the team's remote answers."""
    found, sample = named(root), named(root, SAMPLE)
    if sample is not None:
        say(f"sample   {sample.url} (in this repository, pull only)")
    say(f"ledger   data/ledger.dvc: {share.place(root)}")
    if found is None:
        say("team     not set, so nothing can be pushed: graded remote s3://bucket/prefix")
        return
    more = " ".join(f"{key}={bare(str(value))}" for key, value in sorted(found.options.items()))
    say(f"team     {found.name}: {bare(found.url)} {more}".rstrip())
    if test:
        say(f"tested   {check(root)}")
