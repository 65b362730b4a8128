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

#: Tokens reserved for a prompt, over what the ledger's own usage makes of its length, where that is asked for.
MARGIN = 1.25
#: Share of a run's first room under the cap below which what room is left is not worth one more batch.
LEAST = 0.1


class Planned(NamedTuple):
    """What planning came to: batches under way now, their requests, and whether the cap left some others out."""

    folders: list[Folder]
    requests: int
    full: bool


class Planner:
    """Makes batches of the missing requests of wants, each durable and reserved before anything is sent.

    ``most`` are the requests a batch, where the endpoint has said that a larger one is too much. With less than
    ``least`` dollars of room under the cap no batch is made of what fits: as each settles at a part of what it had
    reserved, ever smaller ones would follow, a day each.
    """

    def __init__(self, ledger: Ledger, cap: float, options: Batch, most: int | None = None, least: float = 0.0) -> None:
        self.ledger, self.cap, self.options = ledger, cap, options
        self.table = prices.load()
        self.rates = Rates(ledger)
        self.least = least
        self.most = most or max(BATCH.values())

    def plan(self, want: Want, skip: set[bytes]) -> Planned:
        """Make batches of what ``want`` is to buy and nobody else does, without the keys in ``skip``."""
        model = want.job.model
        price = self.table.of(model)
        batched = model.model_copy(update={"deployment": model.batch_deployment or model.deployment})
        items = _Items(replace(want, job=replace(want.job, model=batched)), price, skip)
        made: list[Folder] = []
        requests = 0
        while True:
            with self.ledger.store.lock("budget"):
                self.ledger.state.refresh()
                folder, count, full = self._part(want, price, items)
            requests += count
            if folder is not None:
                made.append(folder)
            if folder is None or full:
                return Planned(made, requests, full)

    def _part(self, want: Want, price: Price, items: _Items) -> tuple[Folder | None, int, bool]:
        """Make one batch and count its requests; the budget is locked, so that nobody reserves beside it."""
        model, state = want.job.model, self.ledger.state
        most = min(self.options.requests or BATCH[model.family], BATCH[model.family], self.most)
        room = state.room(self.cap)
        short = room < self.least
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
        if not taken or (full and short):
            shutil.rmtree(path)
            return None, 0, full
        listed = folder.write_requests(taken)
        dollars = sum(one.usd for one in taken)
        folder.write(
            Intent(
                name=name, stage=want.job.stage, param=want.job.param, model=_plain(model), requests=len(taken),
                usd=dollars, sha256=digest.hexdigest(), listed=listed, created=now(),
                about=self.options.reserve == "measured",
            )
        )  # fmt: skip
        path.rename(state.pending.path / name)
        _sync(state.pending.path / name)
        return Folder(state.pending.path / name), len(taken), full

    def _free(self, item: Item) -> bool:
        """Is this request neither answered, nor in a batch, nor in flight in another process?"""
        state = self.ledger.state
        return not (state.known.has(item.short) or state.pending.keys.has(item.short) or state.in_flight(item.short))

    def _line(self, item: Item, model: Model) -> bytes:
        url = URLS[model.family]
        head = f'{{"custom_id":"{custom_id(item.key)}","method":"POST","url":"{url}","body":'
        return head.encode() + item.data + b"}\n"

    def _worst(self, item: Item, price: Price, want: Want) -> float:
        """Return the dollars to reserve for one request: what its bytes can cost, which the cap surely holds.

        That is three to five times what they will. Where it is asked for, :data:`MARGIN` over what was measured is
        reserved instead: texts with more tokens a character than those before can then pass the cap.
        """
        model = want.job.model
        if self.options.reserve == "bytes":
            return item.worst * self.table.batch
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
