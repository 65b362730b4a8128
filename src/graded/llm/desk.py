"""The buying process's side of the ledger: claim, reserve, settle. One thread does all of it.

The order is what makes a reply safe and the cap hold:
    (under the budget lock) see what others wrote, reserve what nobody has, if the cap allows -> sync -> it may leave
    reply -> write -> sync
A process that dies leaves reservations without an end: those are counted as spent and shown as possibly paid.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graded.errors import BudgetError
from graded.llm.client import Answer
from graded.llm.feed import Feed, Item
from graded.llm.ledger import Ledger
from graded.llm.reply import to_json
from graded.llm.store import SUFFIX
from graded.llm.writer import Writer, now

#: Files of ended writers that are made one segment when the next buyer starts.
MANY = 16
#: Requests that one visit looks at to find some that nobody else has bought.
SEEN = 4096


@dataclass
class Block:
    """What one visit at the desk brings: requests that may leave, how many others have answered, is the cap full."""

    items: list[Item]
    known: int = 0
    full: bool = False


class Desk:
    """Claims, reservations and settlements of one process, up to ``cap`` dollars over all processes."""

    def __init__(self, ledger: Ledger, cap: float) -> None:
        self.ledger, self.cap = ledger, cap
        self.state = ledger.state
        with ledger.store.lock():
            left = ledger.store.dead()
            if len(left) >= MANY:
                ledger.store.seal(left)
            for path in ledger.store.sealed.glob(f"*{SUFFIX}"):
                ledger.store.keep_money(path)
        self.writer = Writer(ledger.store)
        #: What is reserved and has not ended, by the first 16 bytes of its key.
        self.open: dict[bytes, Item] = {}

    def spread(self, feeds: Iterable[Feed]) -> None:
        """Where others buy too, begin elsewhere: two that walk the same list side by side want the same requests."""
        store = self.ledger.store
        if any(store.lives(writer) for writer in store.writers() if writer != self.writer.name):
            for feed in feeds:
                feed.start = secrets.randbelow(max(len(feed.want.keys), 1))

    @property
    def spent(self) -> float:
        """Dollars paid and possibly paid, without what is in flight."""
        return self.state.paid + self.state.lost

    def block(self, feed: Feed, count: int) -> Block:
        """Return up to ``count`` requests of ``feed`` that are claimed and durably reserved."""
        found = Block([])
        if feed.ratio > 1:
            self._raise(feed)
        fresh: list[Item] = []
        seen = 0
        while len(fresh) < count and seen < SEEN and (taken := feed.take(count - len(fresh))):
            seen += len(taken)
            for item in taken:
                if self.state.known.has(item.short):
                    found.known += 1
                elif self._taken(item):
                    feed.put_off.append(item)
                else:
                    fresh.append(item)
        if fresh:
            for item in fresh:
                item.held = feed.most(item)
            self._reserve(feed, found, [(item, self._record(item, "hold", usd=item.held)) for item in fresh])
        return found

    def _raise(self, feed: Feed) -> None:
        """Reserve more for what was reserved before a dearer reply came; what is not sent yet only where it fits.

        Where what was sent passes the cap, nothing more is reserved by then, here or in another process.
        """
        low = [item for item in self.open.values() if item.want is feed.want and item.held < feed.most(item)]
        if not low:
            return
        holds: list[dict[str, Any]] = []
        with self.ledger.store.lock("budget"):
            self.state.refresh()
            room = self.state.room(self.cap)
            for item in sorted(low, key=lambda one: not one.sent):
                most = feed.most(item)
                if item.sent or most - item.held <= room:
                    room -= most - item.held
                    item.held = most
                    holds.append(self._record(item, "hold", usd=item.held))
            self._write(holds)
        self._sync()

    def _reserve(self, feed: Feed, found: Block, fresh: list[tuple[Item, dict[str, Any]]]) -> None:
        """Reserve what is still nobody's and fits under the cap, and add it to ``found``; the rest goes to ``feed``."""
        holds: list[dict[str, Any]] = []
        with self.ledger.store.lock("budget"):
            self.state.refresh()
            room = self.state.room(self.cap)
            for item, hold in fresh:
                if self.state.known.has(item.short):
                    found.known += 1
                elif self._taken(item):
                    feed.put_off.append(item)
                elif item.held <= room and not found.full:
                    room -= item.held
                    self.open[item.short] = item
                    found.items.append(item)
                    holds.append(hold)
                else:
                    found.full = True
                    feed.waiting.append(item)
            self._write(holds)
        self._sync()

    def _taken(self, item: Item) -> bool:
        """Is ``item`` in a batch, or in flight (in another process, or for another annotator of the same model)?"""
        return self.state.pending.keys.has(item.short) or self.state.in_flight(item.short)

    def flying(self, feed: Feed) -> bool:
        """Is anything that ``feed`` has put off in flight one by one, and not in a batch?"""
        batched = self.state.pending.keys
        return any(not batched.has(item.short) for item in feed.put_off)

    def look_again(self, feed: Feed) -> int:
        """Move what other processes have given up back to ``feed``; return how many they have answered."""
        self.state.refresh()
        left = [item for item in feed.put_off if not self.state.known.has(item.short)]
        known = len(feed.put_off) - len(left)
        feed.put_off = []
        for item in left:
            (feed.put_off if self._taken(item) else feed.waiting).append(item)
        return known

    def settle(self, ended: list[tuple[Item, Answer, float]]) -> None:
        """Make the ends of requests durable; the float is the dollars of a reply."""
        for item, _, _ in ended:
            self.open.pop(item.short, None)
        self._write([self._end(*one) for one in ended])
        self._sync()

    def cap_reached(self, left: int) -> BudgetError:
        """Return the error of a cap that leaves no room for one more request, with ``left`` replies missing."""
        return self.state.full(self.cap, f"about {left:,} replies still missing")

    def close(self) -> None:
        """End; what is still reserved stays reserved."""
        self.writer.close()

    def _end(self, item: Item, answer: Answer, dollars: float) -> dict[str, Any]:
        if answer.kind == "lost":
            return self._record(item, "lost", usd=item.held, why=answer.why)
        if answer.reply is None:
            return self._record(item, "free", usd=0.0, why=answer.why)
        reply = to_json(answer.reply)
        return self._record(item, "reply", at=now(), usd=round(dollars, 9), size=item.size, reply=reply)

    def _record(self, item: Item, kind: str, **more: Any) -> dict[str, Any]:
        job = item.want.job
        fields: dict[str, Any] = {"key": item.key.hex(), "kind": kind}
        if "at" in more:
            fields |= {"at": more.pop("at")}
        fields |= {"usd": more.pop("usd"), "stage": job.stage, "lang": item.language}
        fields |= {"family": job.model.family, "model": job.model.model}
        if "size" in more:
            fields |= {"in": more.pop("size")}
        return fields | more

    def _write(self, records: list[dict[str, Any]]) -> None:
        if records:
            self.writer.write(records)
            self.state.own(self.writer.name, records)

    def _sync(self) -> None:
        before = self.writer.name
        self.writer.sync()
        if self.writer.name != before:
            self.state.moved(before, self.writer.name)
