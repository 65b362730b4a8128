"""Batches that are let go of without their replies: never sent and not wanted any more, or given up by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import ValidationError

from graded.console import say
from graded.errors import DataError, MissingError, one_of
from graded.llm.batch_intent import Folder, Intent, Request
from graded.llm.batch_take import record, taken
from graded.llm.job import How, Want
from graded.llm.keys import KeySet
from graded.llm.ledger import Ledger
from graded.llm.request import BATCH, Model
from graded.llm.writer import Writer


def drop_planned(ledger: Ledger, wants: Sequence[Want], how: How) -> None:
    """Let go of batches of ``wants`` of which nothing was sent and which today's params would not make.

    Such are left by an endpoint that could not be reached, or has no batch interface. Their requests are missing
    again, and their dollars free.
    """
    pending, keys = ledger.state.pending, KeySet()
    for want in wants:
        keys.extend(want.keys[want.buy])
    batched = [want.job for want in wants if want.job.model.family in BATCH and how.batched(want)]
    for name in pending.touching(keys):
        folder = Folder(pending.path / name)
        with folder.lock() as held:
            intent = folder.read() if held else None
            if intent is None or intent.step != "planned":
                continue
            if not any(job.param == intent.param and _same(job.model, intent) for job in batched):
                folder.end()
                say(f"a batch of {intent.requests:,} requests of {intent.param} was never sent: made anew")
    pending.refresh()


def drop_unsent(folder: Folder) -> Intent | None:
    """Let go of a batch if nothing of it was sent, and return what it was."""
    with folder.lock() as held:
        intent = folder.read() if held else None
        if intent is None or intent.step != "planned":
            return None
        folder.end()
        return intent


def give_up(ledger: Ledger, name: str) -> tuple[Intent, float]:
    """Let go of the batch ``name``, whatever has become of it; return it and the dollars that it may still cost.

    Those count as possibly paid. Its requests are missing again.

    Raises:
        MissingError: there is no such batch, or another process is at it.
        DataError: neither what it holds nor what it may cost can be read.
    """
    pending = ledger.state.pending
    names = [folder.path.name for folder in pending.folders()]
    if name not in names:
        raise MissingError(f"--give-up: {one_of(name, names)}" if names else f"no batch {name}: none is under way")
    folder = Folder(pending.path / name)
    with folder.lock() as held:
        if not held:
            raise MissingError(f"another process is at batch {name}; stop it, or try again when it has left it")
        intent, requests = _read(folder)
        if intent.step == "planned":
            requests = []
        elif intent.batch_id is not None:  # what was taken in, or given up by a process that died, is counted
            done = taken(ledger.store, str(intent.batch_id))
            requests = [one for one in requests if one.key.hex() not in done]
        with Writer(ledger.store) as writer:
            if requests:
                writer.write([record(one, intent, "lost", one.usd, why="given up") for one in requests])
                writer.sync()
        folder.end()
    ledger.state.refresh()
    return intent, sum(one.usd for one in requests)


def _same(model: Model, intent: Intent) -> bool:
    """Would ``model`` be asked as the intent says?"""
    try:
        kept = Model.model_validate(intent.model)
    except ValidationError:
        return False
    return all(getattr(model, name) == getattr(kept, name) for name in Model.model_fields)


def _read(folder: Folder) -> tuple[Intent, list[Request]]:
    """Return what is known of a batch; where its list is damaged, one request stands for all of its dollars."""
    try:
        intent = folder.read()
    except DataError:
        intent = None
    if intent is None:
        requests = _readable(folder)
        if not requests:
            raise DataError(f"{folder.path}: nobody can tell what it may cost; restore its intent.json from a copy")
        usd = sum(one.usd for one in requests)
        of = {"family": "", "model": ""}
        intent = Intent(
            name=folder.path.name, stage="", param="", model=of, requests=len(requests), usd=usd, sha256="", created=0,
            step="creating",
        )  # fmt: skip
        return intent, requests
    try:
        return intent, folder.requests(intent)
    except DataError:
        return intent, [Request(bytes(32), "", 0, intent.usd)]


def _readable(folder: Folder) -> list[Request]:
    """Return the requests of a list as far as they can be read."""
    found = []
    for line in folder.listed().splitlines():
        try:
            key, language, size, usd = json.loads(line)
            found.append(Request(bytes.fromhex(key), str(language), int(size), float(usd)))
        except (ValueError, TypeError):
            continue
    return found
