"""Missing requests on their way to being sent: made late, so that a million of them are little memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from graded.llm.client import body
from graded.llm.job import Ask, Want
from graded.llm.prices import Price
from graded.llm.request import characters, key


class Item:
    """One missing request; it is made when its key, body or price is first asked for, not where others have bought it.

    Attributes:
        short: the first 16 bytes of the key, enough to look it up and to claim it.
        tries, lost: how often it was sent, and how often it may have been billed without a reply.
        sent: was it sent, and may be billed for that?
        held: dollars that were last reserved for it.
    """

    __slots__ = ("_ask", "_made", "_price", "held", "language", "lost", "sent", "short", "tries", "want")

    def __init__(self, short: bytes, ask: Ask, want: Want, price: Price) -> None:
        self.short, self.language, self.want = short, ask.language, want
        self.tries = self.lost = 0
        self.sent = False
        self.held = 0.0
        self._ask, self._price = ask, price
        self._made: tuple[bytes, bytes, int, float] | None = None

    def _make(self) -> tuple[bytes, bytes, int, float]:
        if self._made is None:
            model, messages = self.want.job.model, self._ask.messages
            name, data = key(model, messages, self.want.attempt), body(model, messages)
            worst = self._price.worst(data, len(messages), model.max_tokens)
            self._made = name, data, characters(messages), worst
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
        """Dollars that it can cost at most, at an endpoint that keeps to its ``max_tokens``."""
        return self._make()[3]


class Feed:
    """The missing requests of one want, made when they are needed; ``put_off`` are those another process has.

    ``start`` is the place among the asks where it begins; what stands before it comes last. ``ratio`` is what is
    reserved of the most that a request can cost: above 1 where the endpoint does not keep to what it is asked.
    """

    def __init__(self, want: Want, price: Price) -> None:
        self.want, self.price = want, price
        self.total = int(want.buy.sum())
        self.put_off: list[Item] = []
        self.waiting: deque[Item] = deque()
        self.ended = False
        self.start = 0
        self.ratio = 1.0
        self._items = self._make()

    def most(self, item: Item) -> float:
        """Return the dollars to reserve for ``item``, going by what replies were billed so far."""
        return item.worst * self.ratio

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
        yield from self._between(self.start, len(self.want.keys))
        if self.start:
            yield from self._between(0, self.start)

    def _between(self, start: int, end: int) -> Iterator[Item]:
        for index, ask in islice(enumerate(self.want.asks()), start, end):
            if self.want.buy[index]:
                yield Item(self.want.keys[index : index + 1].tobytes(), ask, self.want, self.price)
