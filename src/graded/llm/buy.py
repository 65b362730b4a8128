"""Buying missing replies: one loop that sends, one thread that keeps the ledger, memory bounded by what is in flight.

A reply counts as done once it is durable. Ctrl-C and SIGTERM stop the sending, take in what is in flight, and leave a
ledger from which the same command goes on; a second one ends at once, and what was in flight is possibly paid.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from graded.console import Progress
from graded.errors import GradedError, ResumeError, ServiceError
from graded.llm import prices
from graded.llm.client import Answer, endpoint
from graded.llm.desk import Desk
from graded.llm.feed import Feed, Item
from graded.llm.job import Want
from graded.llm.lane import Bell, Lane
from graded.llm.ledger import Ledger

#: Records that are written and synced together, and the longest that one waits for others, in seconds.
GROUP, WAIT = 100, 0.1
#: Requests that were given up in a row, without a reply between them, before the whole run stops.
HOPELESS = 20
#: Seconds in which an endpoint must have been reached once, where connections fail from the start.
REACHED = 10.0


class Buyer:
    """What the lanes (one an annotator) share: the desk and its thread, the bell, counts, and why to stop."""

    def __init__(self, desk: Desk, total: int, label: str) -> None:
        self.desk = desk
        self.bell = Bell()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.progress = Progress(label, total, "replies")
        self.failures: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.in_a_row = 0
        self.started, self.reached = time.monotonic(), False
        self._dear = False
        self.lanes: list[Lane] = []
        self.stopped: GradedError | None = None
        self.over: GradedError | None = None
        self.error: BaseException | None = None
        self._sink: list[tuple[Lane, Item, Answer, float]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def stopping(self) -> bool:
        """Is no further request to be sent?"""
        return self.stopped is not None or self.error is not None

    @property
    def unsettled(self) -> bool:
        """Are there ends that are not durable yet?"""
        return bool(self._sink) or self._flushing is not None

    def stop(self, why: GradedError) -> None:
        """Send nothing more; the first reason counts."""
        self.stopped = self.stopped or why
        self.bell.ring()

    def put(self, lane: Lane, item: Item, answer: Answer, dollars: float = 0.0) -> None:
        """Hand in the end of a request, to be made durable with others."""
        self._sink.append((lane, item, answer, dollars))
        if len(self._sink) >= GROUP:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT, self.flush)

    def flush(self) -> None:
        """Start to make durable what was handed in."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink and self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        group, self._sink = self._sink, []
        try:
            ended = [(item, answer, dollars) for _, item, answer, dollars in group]
            await asyncio.get_running_loop().run_in_executor(self.thread, self.desk.settle, ended)
            for lane, item, answer, _ in group:
                if answer.reply is not None:
                    self.in_a_row = 0
                lane.settled(item, answer)
            self.count(sum(answer.reply is not None for _, _, answer, _ in group))
        except (GradedError, OSError) as error:
            self.error = self.error or error
        finally:
            self._flushing = None
            if len(self._sink) >= GROUP or (self._sink and self.stopping):
                self.flush()
            elif self._sink and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(WAIT, self.flush)
            self.bell.ring()

    def failed(self, lane: Lane, answer: Answer) -> None:
        """Count and show a failure: while an endpoint says no to everything, that is all there is to see."""
        self.failures[answer.why] += 1
        self.count(0)
        self.reached = self.reached or answer.why != "no connection"
        late = time.monotonic() - self.started > REACHED and self.failures[answer.why] >= HOPELESS
        if late and not (self.reached or self.progress.done):
            tried = self.failures[answer.why]
            self.stop(
                ServiceError(
                    f"{lane.want.job.param}: no connection in {REACHED:.0f} s and {tried:,} tries ({answer.text}); "
                    "is its base_url right? Nothing was bought, and the same command goes on"
                )
            )

    def dear(self, lane: Lane, dollars: float, held: float) -> None:
        """Say, once, that a reply was billed at more than the most that was reserved for it."""
        if not self._dear:
            self._dear = True
            self.progress.tell(
                f"{lane.want.job.param}: a reply was billed at ${dollars:.4f}, more than the ${held:.4f} reserved\n"
                "the endpoint does not keep to what it is asked; the dearest reply says what others reserve from now on"
            )

    def count(self, replies: int) -> None:
        """Show ``replies`` more, the dollars and the failures."""
        money = f"${self.desk.spent:,.2f} of ${self.desk.cap:,.2f}"
        most = self.failures.most_common(3)
        others = self.failures.total() - sum(count for _, count in most)
        said = [f"{why}: {count:,}" for why, count in [*most, *[("others", others)] * (others > 0)]]
        pauses = [0.0 if lane.pace.flying else lane.pace.delay() or 0.0 for lane in self.lanes]
        said += [f"waiting {max(pauses):.0f} s"] * (max(pauses, default=0.0) >= 1.0)
        self.progress.update(replies, f"{money}; {', '.join(said)}" if said else money)

    async def show(self) -> None:
        """Show the count every second, whatever happens or does not."""
        while True:
            await asyncio.sleep(1.0)
            self.count(0)

    def give_up(self, lane: Lane, item: Item, answer: Answer) -> None:
        """Count a request as failed for this run."""
        self.given_up[answer.why] += 1
        self.in_a_row += 1
        if answer.kind != "lost":
            self.put(lane, item, answer)
        if self.in_a_row >= HOPELESS:
            self.stop(
                ServiceError(
                    f"{lane.want.job.param}: {self.in_a_row} requests in a row failed, the last with {answer.why} "
                    f"({answer.text}); what was bought is kept, and the same command goes on"
                )
            )

    async def drain(self) -> None:
        """Return once everything that was handed in is durable."""
        while self.unsettled and self.error is None:
            self.flush()
            await self.bell.wait(WAIT)


def buy(ledger: Ledger, wants: Sequence[Want], cap: float) -> None:
    """Buy the missing replies of ``wants`` for at most ``cap`` dollars, this ledger's earlier ones included.

    Raises:
        BudgetError: the cap is reached.
        ResumeError: stopped by a signal.
        ServiceError: an endpoint will not answer, or some requests failed after all their tries.
        ParamError, MissingError: an endpoint, a key or a price is missing; nothing was sent.
    """
    table = prices.load()
    feeds = [Feed(want, table.of(want.job.model)) for want in wants]
    asyncio.run(_buy(ledger, feeds, cap))
    ledger.state.refresh()


async def _buy(ledger: Ledger, feeds: list[Feed], cap: float) -> None:
    ends = [await endpoint(feed.want.job.model, feed.want.job.param) for feed in feeds]
    desk = Desk(ledger, cap)
    desk.spread(feeds)
    total = sum(feed.total for feed in feeds)
    buyer = Buyer(desk, total, feeds[0].want.job.stage)
    try:
        buyer.lanes = [Lane(buyer, feed, end) for feed, end in zip(feeds, ends, strict=True)]
        with buyer.progress, _signals(buyer):
            shown = asyncio.create_task(buyer.show())
            await asyncio.gather(*(lane.run() for lane in buyer.lanes))
            await buyer.drain()
            shown.cancel()
    finally:
        buyer.thread.shutdown()
        desk.close()
    if buyer.error is not None:
        raise buyer.error
    for stopped in (buyer.stopped, buyer.over):
        if stopped is not None:
            raise stopped
    if buyer.given_up:
        kinds = ", ".join(f"{why}: {count:,}" for why, count in buyer.given_up.most_common())
        raise ServiceError(
            f"{sum(buyer.given_up.values()):,} of {total:,} replies could not be had ({kinds}); "
            "the others are in the ledger, and the same command goes on"
        )


class _signals:  # noqa: N801
    """While open, Ctrl-C and SIGTERM stop ``buyer``; a second one raises KeyboardInterrupt."""

    def __init__(self, buyer: Buyer) -> None:
        self.buyer = buyer
        self.before: dict[int, object] = {}

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # not in the main thread: its owner handles signals
                self.before[number] = signal.getsignal(number)
                loop.add_signal_handler(number, self._stop, number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self.before.items():
            with suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _stop(self, number: int) -> None:
        if self.buyer.stopping:
            raise KeyboardInterrupt
        name = signal.Signals(number).name
        flying = sum(len(lane.tasks) for lane in self.buyer.lanes)
        if flying:
            self.buyer.progress.tell(f"{name}: waiting for the {flying:,} replies in flight; once more ends at once")
        self.buyer.stop(ResumeError(f"stopped by {name}; every reply that came is kept, and the same command goes on"))
