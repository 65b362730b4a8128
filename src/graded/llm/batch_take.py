"""What an ended batch brings: its output and error files read into the ledger, line by line, in any order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from graded.formats.redact import secrets
from graded.llm import prices
from graded.llm.batch_api import Line, lines
from graded.llm.batch_intent import Intent, Request
from graded.llm.batch_plan import custom_id
from graded.llm.client import Answer, clean, key_name, read
from graded.llm.ledger import Ledger
from graded.llm.lines import decode
from graded.llm.reply import to_json
from graded.llm.request import Model
from graded.llm.store import Store
from graded.llm.writer import Writer, now

#: Records written and synced together.
GROUP = 1000


class Intake:
    """Takes in one batch; ``left`` are the requests that no line has spoken of yet.

    ``done`` are the keys that :func:`taken` has found. A reply that is in the ledger from elsewhere is written all the
    same: it was billed, and the earlier one of the two counts.
    """

    def __init__(self, ledger: Ledger, intent: Intent, requests: Iterable[Request], done: set[str]) -> None:
        self.ledger, self.intent, self.done = ledger, intent, done
        self.table = prices.load()
        key_name(Model.model_validate(intent.model))  # so that its key is among the secrets
        self.hidden = [one.encode() for one in secrets()]
        self.left = {custom_id(one.key): one for one in requests}
        self.replies = 0
        #: Dollars of all its lines, those of ``done`` too.
        self.usd = 0.0
        #: Requests of which a line says that they were run.
        self.run = 0
        #: Requests that were run and have no reply: the key, and whether asking again is in vain.
        self.failed: list[tuple[bytes, bool]] = []
        self.reasons: Counter[str] = Counter()

    def read(self, path: Path, writer: Writer) -> None:
        """Write the replies of one file to the ledger; a request that comes twice counts once."""
        group: list[dict[str, Any]] = []
        for line in lines(path):
            request = self.left.pop(line.custom_id, None)
            record = self._record(line, request) if request is not None else None
            if request is None or record is None:
                continue
            self.replies += record["kind"] == "reply"
            self.usd += record["usd"]
            if record["key"] not in self.done:
                group.append(record)
            if len(group) >= GROUP:
                self._write(group, writer)
                group = []
        self._write(group, writer)

    def lose(self, writer: Writer) -> None:
        """Count what is left as possibly paid: the batch says that it ran them, and no line speaks of them."""
        why = "no line in the batch's files"
        records = [record(one, self.intent, "lost", one.usd, why=why) for one in self.left.values()]
        self.usd += sum(one["usd"] for one in records)
        self._write([one for one in records if one["key"] not in self.done], writer)
        self.failed += [(one.key, False) for one in self.left.values()]
        self.reasons[why] += len(self.left)

    def _record(self, line: Line, request: Request) -> dict[str, Any] | None:
        """Return the ledger's record of one line; None where the request was not run or not billed."""
        if line.status is None:
            return None  # the batch ended before it
        self.run += 1
        answer = read(line.status, clean(json.dumps(line.body).encode(), self.hidden), {})
        if answer.reply is not None:
            usd = self._dollars(answer, request)
            return record(request, self.intent, "reply", usd, reply=to_json(answer.reply))
        self.failed.append((request.key, answer.kind == "fatal"))
        self.reasons[f"{answer.why} {answer.text}".strip()] += 1
        return record(request, self.intent, "lost", request.usd, why=answer.why) if answer.kind == "lost" else None

    def _dollars(self, answer: Answer, request: Request) -> float:
        usage = answer.reply.usage if answer.reply else None
        if usage is None:
            return 0.0 if answer.free_of_charge else request.usd
        price = self.table.of(Model.model_validate(self.intent.model))
        return round(price.dollars(usage) * self.table.batch, 9)

    def _write(self, records: list[dict[str, Any]], writer: Writer) -> None:
        if records:
            writer.write(records)
            writer.sync()


def taken(store: Store, batch_id: str) -> set[str]:
    """Return the keys of what a process that died has already taken in of a batch, of which this clone paid all."""
    mark = f'"batch":{json.dumps(batch_id)}'.encode()
    live = (store.read_live(path)[0] for path in store.writers().values())
    sealed = (store.read_segment(path) for path in store.segments().values() if path.parent == store.sealed)
    files = chain(live, (segment[1] for segment in sealed if segment is not None))
    marked = (decode(line) for file in files for line in file if mark in line)
    return {fields["key"] for fields in marked if fields.get("batch") == batch_id}


def record(request: Request, intent: Intent, kind: str, usd: float, **more: Any) -> dict[str, Any]:
    """Return the ledger's record of one request of a batch."""
    fields: dict[str, Any] = {"key": request.key.hex(), "kind": kind}
    if kind == "reply":
        fields["at"] = now()
    fields |= {"usd": usd, "stage": intent.stage, "lang": request.language, "family": intent.model["family"]}
    fields |= {"model": intent.model["model"], "batch": intent.batch_id}
    return fields | ({"in": request.size} if kind == "reply" else {}) | more
