"""Batches that are under way, as folders of the ledger: written before anything is sent, gone when all is taken in.

    .ledger/batches/<name>/intent.json      what was asked for, of whom, for how much, and how far it has come
    .ledger/batches/<name>/requests.jsonl   one [key, language, characters, dollars reserved] a request
    .ledger/batches/<name>/input.jsonl      the file to upload; removed once the batch exists

A folder appears whole, by one rename. Its requests are nobody else's to buy, and its dollars are reserved, for as
long as it is there, whatever becomes of the process that made it; whoever holds the lock on it takes it a step further.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from graded.errors import DataError
from graded.formats.atomic import atomic, write_json
from graded.llm.keys import Keys, KeySet, pack

#: planned - nothing was sent; creating - the batch may exist; submitted - it exists; taking - it has ended, and some
#: of its lines may be in the ledger
Step = Literal["planned", "creating", "submitted", "taking"]


class Intent(BaseModel):
    """One batch to be, or that is.

    ``model`` is the annotator as in params.yaml (no secret is in it), ``sha256`` that of the input file, ``listed``
    that of requests.jsonl (None: made before it was kept), ``created`` the milliseconds since 1970. ``usd`` is
    reserved: the most it can cost, or ``about`` what it will.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    stage: str
    param: str
    model: dict[str, Any]
    requests: int
    usd: float
    sha256: str
    listed: str | None = None
    created: int
    step: Step = "planned"
    file_id: str | None = None
    batch_id: str | None = None
    about: bool = False

    @property
    def dollars(self) -> str:
        """What it will cost, in words."""
        return f"{'about' if self.about else 'at most'} ${self.usd:,.2f}"


class Request(NamedTuple):
    """One request of a batch; ``usd`` is what is reserved for it."""

    key: bytes
    language: str
    size: int
    usd: float


class Folder:
    """One intent's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.input = path / "input.jsonl"
        self._requests = path / "requests.jsonl"

    def read(self) -> Intent | None:
        """Return the intent; None where it has ended.

        Raises:
            DataError: it is damaged.
        """
        path = self.path / "intent.json"
        try:
            return Intent.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise DataError(f"{path} is damaged{self.way_out}") from None

    @property
    def way_out(self) -> str:
        """What can be done about a damaged batch."""
        return f"; restore it from a copy, or give the batch up: graded batches --give-up {self.path.name}"

    def write(self, intent: Intent) -> None:
        """Make ``intent`` durable."""
        write_json(self.path / "intent.json", intent.model_dump())

    def requests(self, intent: Intent) -> list[Request]:
        """Return the requests of ``intent``; none where the batch has ended.

        Raises:
            DataError: they are not those that the intent was written for.
        """
        data = self.listed()
        count = data.count(b"\n")
        right = count == intent.requests if intent.listed is None else digest(data) == intent.listed
        if not right and self.read() is None:
            return []
        if not right:
            raise DataError(
                f"{self._requests} is damaged ({count:,} lines for {intent.requests:,} requests), so the replies of "
                f"batch {intent.batch_id or intent.name} cannot be told apart{self.way_out}"
            )
        return [Request(bytes.fromhex(key), *rest) for key, *rest in map(json.loads, data.splitlines())]

    def listed(self) -> bytes:
        """Return the list of requests as it is; empty where it is not there."""
        try:
            return self._requests.read_bytes()
        except FileNotFoundError:
            return b""

    def write_requests(self, requests: list[Request]) -> str:
        """Make what :meth:`requests` reads durable, and return its SHA-256."""
        rows = ([one.key.hex(), one.language, one.size, one.usd] for one in requests)
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with atomic(self._requests) as temporary:
            temporary.write_bytes(data)
        return digest(data)

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold this batch; False where another process does, or where it has ended."""
        try:
            file = (self.path / "lock").open("wb")
        except FileNotFoundError:
            yield False
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield (self.path / "intent.json").exists()

    def end(self) -> None:
        """Remove the folder, at once: its dollars and keys are free again."""
        gone = self.path.with_name(f".{self.path.name}.tmp")
        self.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


class Pending:
    """The batches of one clone that are under way: their requests and their dollars."""

    def __init__(self, ledger: Path) -> None:
        self.path = ledger / "batches"
        self.keys = KeySet()
        self._held: dict[str, tuple[float, Keys]] = {}
        #: What is wrong with a batch, by its name; nothing is bought until it is restored or given up.
        self.damaged: dict[str, str] = {}

    @property
    def reserved(self) -> float:
        """Dollars, at worst."""
        return sum(usd for usd, _ in self._held.values())

    def touching(self, keys: KeySet) -> list[str]:
        """Return the names of the batches that hold one of ``keys``."""
        return [name for name, (_, held) in self._held.items() if keys.mask(held).any()]

    def folders(self) -> list[Folder]:
        """Return all batches under way."""
        return [Folder(self.path / name) for name in self._held]

    def end_answered(self, known: KeySet) -> int:
        """Let go of batches whose requests are all in the ledger and that will cost no more.

        Those were never sent, or taken in by a process that died before the last step. A batch whose replies came from
        elsewhere (a team-mate's ledger) runs on and is billed: such are left, with their dollars, and counted.
        """
        left = 0
        for name, (_, keys) in list(self._held.items()):
            if name not in self.damaged and known.mask(keys).all():
                folder = Folder(self.path / name)
                with folder.lock() as held:
                    intent = folder.read() if held else None
                    if intent is not None and intent.step in ("planned", "taking"):
                        folder.end()
                    else:
                        left += intent is not None
        self.refresh()
        return left

    def refresh(self) -> None:
        """See what other processes have begun and ended."""
        names = sorted(path.parent.name for path in self.path.glob("[!.]*/intent.json"))
        if names == list(self._held):
            return
        held = {}
        for name in names:
            found = self._held.get(name) or self._look(name)
            if found is not None:
                held[name] = found
        self._held = held
        self.damaged = {name: why for name, why in self.damaged.items() if name in held}
        self.keys = KeySet()
        for _, keys in held.values():
            self.keys.extend(keys)

    def _look(self, name: str) -> tuple[float, Keys] | None:
        """Return the dollars and the keys of a batch; None where it has ended. One that is damaged has no keys."""
        folder, usd = Folder(self.path / name), 0.0
        try:
            intent = folder.read()
            if intent is None:
                return None
            usd = intent.usd
            return usd, pack(one.key for one in folder.requests(intent))
        except DataError as error:
            self.damaged[name] = str(error)
            return usd, pack(())


def digest(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()
