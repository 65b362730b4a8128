"""The buying process's side of the ledger: claim, reserve, settle. One thread does all of it.

The order is what makes a reply safe and the cap hold:
    claim -> (under the budget lock) see what others wrote, reserve if the cap allows -> sync -> the request may leave
    reply -> write -> sync -> give the claim up
A process that dies leaves reservations without an end: those are counted as spent and shown as possibly paid.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graded.errors import BudgetError
from graded.llm.claims import Claims
from graded.llm.client import Answer, body
from graded.llm.job import Ask, Want
from graded.llm.ledger import Ledger
from graded.llm.prices import Price
from graded.llm.reply import to_json
from graded.llm.request import characters, key
from graded.llm.writer import Writer, now

#: Files of ended writers that are made one segment when the next buyer starts.
MANY = 16
#: Requests that one visit looks at to find some that nobody else has bought.
SEEN = 4096


class Item:
    """One missing request; it is made when its key, body or price is first asked for, not where others have bought it.

    Attributes:
        short: the first 16 bytes of the key, enough to look it up and to claim it.
        tries, lost: how often it was sent, and how often it may have been billed without a reply.
    """

    __slots__ = ("_ask", "_made", "_price", "language", "lost", "short", "tries", "want")

    def __init__(self, short: bytes, ask: Ask, want: Want, price: Price) -> None:
        self.short, self.language, self.want = short, ask.language, want
        self.tries = self.lost = 0
        self._ask, self._price = ask, price
        self._made: tuple[bytes, bytes, int, float] | None = None

    def _make(self) -> tuple[bytes, bytes, int, float]:
        if self._made is None:
            model, messages = self.want.job.model, self._ask.messages
            worst = self._price.worst(messages, model.max_tokens)
            name = key(model, messages, self.want.attempt)
            self._made = name, body(model, messages), characters(messages), worst
        return self._made

    @property
    def key(self) -> bytes:
        """The 32 bytes that name the request."""
        return self._make()[0]

    @property
    def data(self) -> bytes:
        """The body to send."""
        return self._make()[1]

    @property
    def size(self) -> int:
        """Characters of its messages."""
        return self._make()[2]

    @property
    def worst(self) -> float:
        """Dollars that it can cost at most."""
        return self._make()[3]


class Feed:
    """The missing requests of one want, made when they are needed; ``put_off`` are those another process has."""

    def __init__(self, want: Want, price: Price) -> None:
        self.want, self.price = want, price
        self.total = int(want.buy.sum())
        self.put_off: list[Item] = []
        self.waiting: deque[Item] = deque()
        self.ended = False
        self._items = self._make()

    def take(self, count: int) -> list[Item]:
        """Return up to ``count`` items: first those that were put back, then new ones."""
        taken: list[Item] = []
        while self.waiting and len(taken) < count:
            taken.append(self.waiting.popleft())
        while len(taken) < count and not self.ended:
            item = next(self._items, None)
            if item is None:
                self.ended = True
            else:
                taken.append(item)
        return taken

    def _make(self) -> Iterator[Item]:
        for index, ask in enumerate(self.want.asks()):
            if self.want.buy[index]:
                yield Item(self.want.keys[index : index + 1].tobytes(), ask, self.want, self.price)


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
        self.claims = Claims(ledger.store)
        with ledger.store.lock():
            left = ledger.store.dead()
            if len(left) >= MANY:
                ledger.store.seal(left)
        self.writer = Writer(ledger.store)

    @property
    def spent(self) -> float:
        """Dollars paid and possibly paid, without what is in flight."""
        return self.state.paid + self.state.lost

    def block(self, feed: Feed, count: int) -> Block:
        """Return up to ``count`` requests of ``feed`` that are claimed and durably reserved."""
        found = Block([])
        fresh: list[Item] = []
        seen = 0
        while len(fresh) < count and seen < SEEN and (taken := feed.take(count - len(fresh))):
            seen += len(taken)
            for item in taken:
                if self.state.known.has(item.short):
                    found.known += 1
                elif not self.state.pending.keys.has(item.short) and self.claims.take(item.short):
                    fresh.append(item)
                else:
                    feed.put_off.append(item)
        if not fresh:
            return found
        with self.ledger.store.lock("budget"):
            self.state.refresh()
            room = self.cap - self.spent - self.state.reserved
            holds: list[dict[str, Any]] = []
            for item in fresh:
                if self.state.known.has(item.short):
                    found.known += 1
                    self.claims.drop(item.short)
                elif self.state.pending.keys.has(item.short):
                    self.claims.drop(item.short)
                    feed.put_off.append(item)
                elif item.worst <= room and not found.full:
                    room -= item.worst
                    found.items.append(item)
                    holds.append(self._record(item, "hold", usd=item.worst))
                else:
                    found.full = True
                    self.claims.drop(item.short)
                    feed.waiting.append(item)
            self._write(holds)
        self._sync()
        return found

    def look_again(self, feed: Feed) -> int:
        """Move what other processes have given up back to ``feed``; return how many they have answered."""
        self.state.refresh()
        left = [item for item in feed.put_off if not self.state.known.has(item.short)]
        known = len(feed.put_off) - len(left)
        feed.put_off = []
        for item in left:
            if self.claims.take(item.short):
                feed.waiting.append(item)
            else:
                feed.put_off.append(item)
        return known

    def settle(self, ended: list[tuple[Item, Answer, float]]) -> None:
        """Make the ends of requests durable, then give up their claims; the float is the dollars of a reply."""
        self._write([self._end(*one) for one in ended])
        self._sync()
        for item, answer, _ in ended:
            if answer.kind != "lost":
                self.claims.drop(item.short)

    def cap_reached(self, left: int) -> BudgetError:
        """Return the error of a cap that leaves no room for one more request, with ``left`` replies missing."""
        state = self.state
        return BudgetError(
            f"the cap of ${self.cap:,.2f} is reached: ${state.paid:,.2f} paid, ${state.lost:,.2f} possibly paid, "
            f"${state.reserved:,.2f} reserved, about {left:,} replies still missing; raise GRADED_BUDGET_USD to go on"
        )

    def close(self) -> None:
        """End; what is still reserved stays reserved."""
        self.writer.close()
        self.claims.close()

    def _end(self, item: Item, answer: Answer, dollars: float) -> dict[str, Any]:
        if answer.kind == "lost":
            return self._record(item, "lost", usd=item.worst, why=answer.why)
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
