"""What a stage buys by batch, at half the price: planned within the budget, waited for or left, asked again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from graded.console import Progress, say
from graded.errors import ResumeError, ServiceError, many
from graded.llm.batch_drive import TRIES, Driver
from graded.llm.batch_intent import Folder
from graded.llm.batch_plan import LEAST, Planner
from graded.llm.job import Batch, Want
from graded.llm.keys import KeySet
from graded.llm.ledger import Ledger

#: Seconds before it is looked again at what another process has in flight.
LOOK = 1.0


class Batches:
    """The batches of one run of one stage; ``wants`` are all that the stage misses, ``cap`` the budget in dollars.

    Use it as a context manager: inside, Ctrl-C and SIGTERM raise a ResumeError, as every step stands being cut off.
    """

    def __init__(self, ledger: Ledger, wants: Sequence[Want], options: Batch, cap: float) -> None:
        self.ledger, self.options, self.cap = ledger, options, cap
        self.driver = Driver(ledger)
        #: Dollars under the cap that a batch of what fits must have room for; 0 until this run has made one.
        self.least = 0.0
        self.keys = KeySet()
        self._open = ExitStack()
        for want in wants:
            self.keys.extend(want.keys[want.buy])

    def __enter__(self) -> Self:
        self._open.enter_context(self.driver.loop.stoppable())
        self._open.enter_context(self.driver)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def submit(self, wants: Iterable[Want]) -> bool:
        """Plan and submit batches of what ``wants`` are to buy; False where there was nothing to plan.

        Raises:
            BudgetError: the cap leaves no room for one request, and no batch is under way that could free some.
            ServiceError: the endpoint refuses, or some requests came back without a reply several times.
        """
        driver = self.driver
        if driver.crowded and self.mine():
            return False
        room = self.ledger.state.room(self.cap)
        planner = Planner(self.ledger, self.cap, self.options, driver.most, self.least)
        hopeless = {key for key, count in driver.failures.items() if count >= TRIES}
        full, made, left = False, 0, 0
        for want in wants:
            planned = planner.plan(want, hopeless)
            full, made = full or planned.full, made + len(planned.folders)
            left += int(want.buy.sum()) - planned.requests
            for folder in planned.folders:
                driver.advance(folder)
        if made:
            self.least = self.least or LEAST * room
            if full:
                self._later(left)
        if not made and not self.mine():
            self._stuck(full, len(hopeless))
        return bool(made)

    def _later(self, left: int) -> None:
        """Say that the cap has no room for all requests at once."""
        why = ": a batch reserves all it can cost (see batch.reserve)" if self.options.reserve == "bytes" else ""
        say(f"{many(left, 'more request', 'wait')} for room under the cap{why}")

    def _stuck(self, full: bool, hopeless: int) -> None:
        """Raise for requests that are missing, with no batch under way and none to be made."""
        state = self.ledger.state
        if full:
            raise state.full(self.cap, "too little left for one more batch")
        if hopeless:
            kinds = ", ".join(f"{why}: {count:,}" for why, count in self.driver.reasons.most_common(5))
            raise ServiceError(
                f"{hopeless:,} replies could not be had by batch in {TRIES} tries ({kinds}); "
                "the others are in the ledger, and the same command goes on"
            )

    def mine(self) -> list[Folder]:
        """Return the batches under way that hold a request of this stage."""
        self.ledger.state.refresh()
        pending = self.ledger.state.pending
        return [Folder(pending.path / name) for name in pending.touching(self.keys)]

    def collect(self) -> None:
        """Take every batch of this stage one step further: submit what was left, take in what has ended."""
        for folder in self.mine():
            self.driver.advance(folder)
        self.ledger.state.refresh()

    def wait(self) -> None:
        """Return once a batch has ended and is taken in.

        Raises:
            ResumeError: ``wait`` is false, or a batch was cancelled by hand.
        """
        folders = self.mine()
        if not folders:  # what is missing is in flight in another process
            self.driver.loop.sleep(min(self.options.poll, LOOK))
            return
        intents = [intent for folder in folders if (intent := folder.read()) is not None]
        total = sum(intent.requests for intent in intents)
        if not self.options.wait and intents:
            raise ResumeError(
                f"{many(total, 'request', 'are')} submitted in {many(len(intents), 'batch')} "
                f"({'about' if any(intent.about for intent in intents) else 'at most'} "
                f"${sum(intent.usd for intent in intents):,.2f}); run the same command again to take the replies in"
            )
        every = max(10.0, self.options.poll)
        with Progress(many(len(intents), "batch"), total, "replies", every=every) as progress:
            while len(self.mine()) == len(folders):
                self.driver.loop.sleep(self.options.poll)
                seen = [self.driver.advance(folder) for folder in folders]
                done = sum(one.replies for one in seen if one is not None)
                progress.update(max(done - progress.done, 0), self._money())

    def _money(self) -> str:
        """Return the dollars spent; taking in what was submitted needs no budget, so there may be no cap."""
        state = self.ledger.state
        return f"${state.paid + state.lost:,.2f}" + (f" of ${self.cap:,.2f}" if self.cap else " spent")
