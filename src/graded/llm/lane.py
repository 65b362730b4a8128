"""One annotator's requests: taken from the desk, sent at the endpoint's pace, tried again where that may help."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from typing import TYPE_CHECKING

import aiohttp

from graded.errors import GradedError, ServiceError
from graded.llm.client import Answer, Endpoint, ask
from graded.llm.desk import Block
from graded.llm.feed import Feed, Item
from graded.llm.pace import Pace, back_off, retry_after

if TYPE_CHECKING:
    from graded.llm.buy import Buyer

#: Most requests that are claimed and reserved together, ahead of being sent.
BLOCK = 128
#: Tries of a request that surely was not billed, and of one that may have been.
TRIES, LOST = 10, 3
#: Requests that are sent before anything has come back, which says whether the endpoint bills as it was asked.
FIRST = 8
#: Reserved, over the dearest reply so far, where replies are billed at more than the most that they can cost.
MARGIN = 1.1
#: What is said of a request whose reservation was too low by the time that it could be sent.
ANEW = Answer("free", "reserved anew")
#: How often another process's claims are looked at again, in seconds.
LOOK = 0.5


class Bell:
    """Wakes the coroutines that wait; cheaper than an asyncio.Event with a time-out."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake whoever waits."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, timeout: float) -> None:
        """Return at the next ring, or after ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.add(waiter)
        timer = loop.call_later(timeout, self._expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    @staticmethod
    def _expire(waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)


class Lane:
    """The requests of one want, to one endpoint."""

    def __init__(self, buyer: Buyer, feed: Feed, end: Endpoint) -> None:
        self.buyer, self.feed, self.end, self.want = buyer, feed, end, feed.want
        self.pace = Pace(end.connections)
        self.ahead = max(min(BLOCK, end.connections // 4), 1)
        self.ready: deque[Item] = deque()
        self.later: list[tuple[float, int, Item, bool]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.fetching: asyncio.Task[None] | None = None
        self.full = self.over = self.answered = False
        self._number = 0
        self._looked = 0.0

    async def run(self) -> None:
        """Send until nothing is left or the buyer stops; then take in what is in flight."""
        async with self.end.session() as session:
            while not (self.buyer.stopping or self.over or self._done()):
                wait = self._start(session)
                if wait is not None:
                    await self.buyer.bell.wait(wait)
            while self.tasks or self.fetching:
                await self.buyer.bell.wait(1.0)
        unsent = Answer("free", "not sent")
        for item in [*self.ready, *(item for _, _, item, held in self.later if held)]:
            self.buyer.put(self, item, unsent)

    def settled(self, item: Item, answer: Answer) -> None:
        """Note that the end of ``item`` is durable: there may be room under the cap again, or a lost one to redo."""
        for lane in self.buyer.lanes:
            lane.full = False
        if answer.kind == "lost" and item.lost <= LOST:
            self._again(item, answer, held=False)
        elif answer is ANEW:
            self.feed.waiting.append(item)

    @property
    def idle(self) -> bool:
        """Is nothing on its way?"""
        return not (self.ready or self.later or self.tasks or self.fetching)

    def _done(self) -> bool:
        """Is nothing left, but for what another process's batch holds? That is taken in by who drives batches."""
        if not self.idle or self.buyer.unsettled or not self.feed.ended or self.feed.waiting:
            return False
        return not self.buyer.desk.flying(self.feed)

    def _start(self, session: aiohttp.ClientSession) -> float | None:
        """Start one request and return None, or return how long to wait at most for something to change."""
        due = self._due()
        if len(self.ready) <= self.ahead // 2 and self.fetching is None:
            self._fetch()
        if not self.ready:
            return min(due, LOOK)
        item = self.ready[0]
        if item.held < self.feed.most(item):
            self.buyer.put(self, self.ready.popleft(), ANEW)
            return None
        if not self.answered and self.pace.flying >= FIRST and item.worst:
            return 1.0
        delay = self.pace.delay()
        if delay != 0.0:
            return 1.0 if delay is None else delay
        self.pace.start()
        task = asyncio.get_running_loop().create_task(self._send(session, self.ready.popleft()))
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.buyer.error = self.buyer.error or task.exception()
        self.buyer.bell.ring()

    def _due(self) -> float:
        """Move what is due to be tried again, and return the seconds until the next is."""
        now = time.monotonic()
        while self.later and self.later[0][0] <= now:
            item, held = heapq.heappop(self.later)[2:]
            if held:
                self.ready.appendleft(item)
            else:
                self.feed.waiting.append(item)
        return self.later[0][0] - now if self.later else 60.0

    def _fetch(self) -> None:
        more = self.feed.waiting or not self.feed.ended
        look = self.feed.put_off and time.monotonic() - self._looked > LOOK
        if self.full and not self.buyer.unsettled and all(lane.idle for lane in self.buyer.lanes):
            self.over = True
            self.buyer.over = self.buyer.desk.cap_reached(self.buyer.progress.total - self.buyer.progress.done)
            self.buyer.bell.ring()
        elif look or (more and not self.full):
            self.fetching = asyncio.get_running_loop().create_task(self._visit(bool(look)))

    async def _visit(self, look: bool) -> None:
        loop, desk, thread = asyncio.get_running_loop(), self.buyer.desk, self.buyer.thread
        try:
            known = 0
            if look:
                self._looked = time.monotonic()
                known = await loop.run_in_executor(thread, desk.look_again, self.feed)
            block: Block = await loop.run_in_executor(thread, desk.block, self.feed, self.ahead)
            self.ready.extend(block.items)
            self.full = block.full
            if known + block.known:
                self.buyer.count(known + block.known)
        except (GradedError, OSError) as error:
            self.buyer.error = self.buyer.error or error
        finally:
            self.fetching = None
            self.buyer.bell.ring()

    async def _send(self, session: aiohttp.ClientSession, item: Item) -> None:
        item.tries += 1
        item.sent = True
        answer = await ask(session, self.end, item.data)
        usage = answer.reply.usage if answer.reply else None
        self.pace.end(answer.why, answer.headers, usage.prompt + usage.completion if usage else 0)
        self.answered = self.answered or answer.kind in ("reply", "lost")
        if answer.reply is not None:
            dollars = self.feed.price.dollars(usage) if usage else (0.0 if answer.free_of_charge else item.held)
            if dollars > item.held:
                self.feed.ratio = max(self.feed.ratio, MARGIN * dollars / item.worst)
                self.buyer.dear(self, dollars, item.held)
            self.buyer.put(self, item, answer, dollars)
            if self.full:  # each settled reply makes room under the cap
                self.buyer.flush()
            return
        self.buyer.failed(self, answer)
        if answer.kind == "lost":
            item.lost += 1
            self.buyer.put(self, item, answer)
            if item.lost > LOST:
                self.buyer.give_up(self, item, answer)
        elif answer.kind == "fatal":
            self.buyer.put(self, item, answer)
            where = f"{self.want.job.param} ({self.want.job.model.model})"
            self.buyer.stop(ServiceError(f"{where}: the endpoint says {answer.why}: {answer.text}"))
        elif item.tries >= TRIES:
            self.buyer.give_up(self, item, answer)
        else:
            self._again(item, answer, held=True)

    def _again(self, item: Item, answer: Answer, *, held: bool) -> None:
        self._number += 1
        item.sent = False
        wait = max(retry_after(answer.headers) or 0.0, back_off(item.tries))
        heapq.heappush(self.later, (time.monotonic() + wait, self._number, item, held))
