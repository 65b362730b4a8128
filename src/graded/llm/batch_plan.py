"""Which missing requests go into the next batch: as many as file, budget and the endpoint's own limits allow."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from graded.llm import prices
from graded.llm.batch_api import BYTES, URLS
from graded.llm.batch_intent import Folder, Intent, Request
from graded.llm.feed import Feed, Item
from graded.llm.job import Batch, Want
from graded.llm.ledger import Ledger
from graded.llm.prices import Price
from graded.llm.reply import Usage
from graded.llm.request import BATCH, Model
from graded.llm.tokens import Rates
from graded.llm.writer import now

#: Tokens reserved for a prompt, over what the ledger's own usage makes of its length.
MARGIN = 1.25


class Planned(NamedTuple):
    """What planning came to: batches under way now, and whether the cap left some requests out."""

    folders: list[Folder]
    full: bool


class Planner:
    """Makes batches of the missing requests of wants, each durable and reserved before anything is sent."""

    def __init__(self, ledger: Ledger, cap: float, options: Batch, most: int | None = None) -> None:
        self.ledger, self.cap, self.options = ledger, cap, options
        self.table = prices.load()
        self.rates = Rates(ledger)
        #: Requests a batch, at most, where the endpoint has said that a larger one is too much.
        self.most = most or max(BATCH.values())

    def plan(self, want: Want, skip: set[bytes]) -> Planned:
        """Make batches of what ``want`` is to buy and nobody else does, without the keys in ``skip``."""
        model = want.job.model
        price = self.table.of(model)
        batched = model.model_copy(update={"deployment": model.batch_deployment or model.deployment})
        items = _Items(replace(want, job=replace(want.job, model=batched)), price, skip)
        made: list[Folder] = []
        while True:
            with self.ledger.store.lock("budget"):
                self.ledger.state.refresh()
                folder, full = self._part(want, price, items)
            if folder is not None:
                made.append(folder)
            if folder is None or full:
                return Planned(made, full)

    def _part(self, want: Want, price: Price, items: _Items) -> tuple[Folder | None, bool]:
        """Make one batch; the budget is locked, so that nobody reserves beside it."""
        model, state = want.job.model, self.ledger.state
        most = min(self.options.requests or BATCH[model.family], BATCH[model.family], self.most)
        room = self.cap - state.committed
        for old in state.pending.path.glob(".*.tmp"):  # of a process that died while it was planning
            shutil.rmtree(old, ignore_errors=True)
        name = secrets.token_hex(8)
        path = state.pending.path / f".{name}.tmp"
        path.mkdir(parents=True)
        folder, taken, digest, size, full = Folder(path), list[Request](), hashlib.sha256(), 0, False
        with folder.input.open("wb") as file:
            for item in items:
                line = self._line(item, model)
                usd = self._worst(item, price, want)
                full = usd > room
                if full or len(taken) == most or size + len(line) > BYTES:
                    items.put_back(item)
                    break
                if not self._free(item):
                    continue
                room -= usd
                size += len(line)
                file.write(line)
                digest.update(line)
                taken.append(Request(item.key, item.language, item.size, usd))
            file.flush()
            os.fsync(file.fileno())
        if not taken:
            shutil.rmtree(path)
            return None, full
        listed = folder.write_requests(taken)
        dollars = sum(one.usd for one in taken)
        folder.write(
            Intent(
                name=name, stage=want.job.stage, param=want.job.param, model=_plain(model), requests=len(taken),
                usd=dollars, sha256=digest.hexdigest(), listed=listed, created=now(),
            )
        )  # fmt: skip
        path.rename(state.pending.path / name)
        _sync(state.pending.path / name)
        return Folder(state.pending.path / name), full

    def _free(self, item: Item) -> bool:
        """Is this request neither answered, nor in a batch, nor in flight in another process?"""
        state = self.ledger.state
        return not (state.known.has(item.short) or state.pending.keys.has(item.short) or state.in_flight(item.short))

    def _line(self, item: Item, model: Model) -> bytes:
        url = URLS[model.family]
        head = f'{{"custom_id":"{custom_id(item.key)}","method":"POST","url":"{url}","body":'
        return head.encode() + item.data + b"}\n"

    def _worst(self, item: Item, price: Price, want: Want) -> float:
        """Return what one request can cost: by its bytes, or by :data:`MARGIN` over what was measured, if less.

        The bytes bound every prompt, at three or four times its price. For one request in flight that is little
        money; for 50,000 in a batch it would keep most of a budget idle for a day.
        """
        model = want.job.model
        rate = self.rates.of(want.job.stage, model.family, model.model, item.language)
        worst = item.worst
        if rate.measured:
            worst = min(worst, price.dollars(Usage(ceil(MARGIN * rate.prompt * item.size), model.max_tokens)))
        return worst * self.table.batch


class _Items:
    """The items of a want, of which the last can be put back."""

    def __init__(self, want: Want, price: Price, skip: set[bytes]) -> None:
        self.feed, self.skip = Feed(want, price), skip

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        for item in iter(lambda: self.feed.take(1), []):
            if item[0].key not in self.skip:
                return item[0]
        raise StopIteration

    def put_back(self, item: Item) -> None:
        """Give ``item`` again next."""
        self.feed.waiting.appendleft(item)


def custom_id(key: bytes) -> str:
    """Return the name of a request in a batch's files."""
    return key[:16].hex()


def _plain(model: Model) -> dict[str, object]:
    """Return the fields of :class:`Model` alone, of whatever subclass."""
    return {name: value for name, value in model.model_dump().items() if name in Model.model_fields}


def _sync(path: os.PathLike[str]) -> None:
    """Make a rename durable: the folder itself and the one that holds it."""
    for folder in (path, os.path.dirname(path)):
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
