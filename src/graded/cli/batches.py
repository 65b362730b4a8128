"""`graded batches`: the batches under way, and their replies as soon as they have ended."""

from __future__ import annotations

from graded import params
from graded.console import say
from graded.errors import ResumeError, ServiceError
from graded.llm.batch_drive import Driver
from graded.llm.ledger import Ledger


def batches() -> None:
    """Show the batches that are under way, and take the replies of those that have ended into the ledger.

    A stage does this for the batches that it waits for; this does it for all, those of an earlier prompt too.

    Example: graded batches
    """
    params.inside()
    ledger = Ledger()
    ledger.state.pending.end_answered(ledger.state.known)
    folders = ledger.state.pending.folders()
    with Driver(ledger) as driver:
        for folder in folders:
            intent = folder.read()
            if intent is None:
                continue
            try:
                seen = driver.advance(folder)
            except (ResumeError, ServiceError) as error:
                say(str(error))
                continue
            what = "another process is at it" if seen is None else f"{seen.status}, {seen.replies:,} replies"
            most = f"at most ${intent.usd:,.2f}"
            say(f"{intent.stage:<6} {intent.param:<34} {intent.requests:>7,} requests, {most}: {what}")
    ledger.state.refresh()
    left = len(ledger.state.pending.folders())
    say(f"{left} batches under way, ${ledger.state.reserved:,.2f} reserved, ${ledger.state.paid:,.2f} paid so far")
