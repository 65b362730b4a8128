"""`graded batches`: the batches under way, and their replies as soon as they have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from graded.cli import here
from graded.console import say
from graded.errors import GradedError, ResumeError, ServiceError, many
from graded.llm import batch_drop
from graded.llm.batch_drive import Driver
from graded.llm.batch_intent import Folder
from graded.llm.ledger import Ledger


def batches(
    give_up: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="let go of a batch without its replies; may be repeated")
    ] = None,
) -> None:
    """Show the batches that are under way, and take the replies of those that have ended into the ledger.

    A stage does this for the batches that it waits for; this does it for all, those of an earlier prompt too. What was
    never sent is let go. A batch that is given up counts as possibly paid, and its requests are bought anew.

    Example: graded batches
    """
    here.repository("batches")
    ledger = Ledger()
    for name in give_up or []:
        _give_up(ledger, name)
    ledger.state.pending.end_answered(ledger.state.known)
    folders = ledger.state.pending.folders()
    with Driver(ledger) as driver:
        unasked = sum(not _look(driver, folder) for folder in folders)
    ledger.state.refresh()
    left = len(ledger.state.pending.folders())
    say(
        f"{many(left, 'batch')} under way, ${ledger.state.reserved:,.2f} reserved,"
        f" ${ledger.state.paid:,.2f} paid so far"
    )
    if unasked:
        raise ServiceError(f"{unasked} of {len(folders)} batches could not be taken further, as said above")


def _look(driver: Driver, folder: Folder) -> bool:
    """Take one batch a step further and show it; False where that could not be done."""
    try:
        unsent = batch_drop.drop_unsent(folder)
        intent = unsent or folder.read()
        if intent is None:
            return True
        seen = None if unsent else driver.advance(folder)
    except ResumeError as error:
        say(str(error))
        return True
    except GradedError as error:
        say(str(error))
        return False
    what = "another process is at it" if seen is None else f"{seen.status}, {many(seen.replies, 'reply')}"
    if unsent:
        what = "never sent, let go; the stage asks them when it runs again"
    say(f"{intent.stage:<6} {intent.param:<34} {intent.requests:>7,} requests, {intent.dollars}: {what}")
    return True


def _give_up(ledger: Ledger, name: str) -> None:
    intent, usd = batch_drop.give_up(ledger, name)
    if not usd:
        say(f"batch {name}: given up; it will cost nothing")
        return
    say(f"batch {name}: given up; it may cost ${usd:,.2f}, which counts as possibly paid")
    say(f"if the endpoint still runs it ({intent.batch_id or 'search its list for ' + name}), cancel it there")
