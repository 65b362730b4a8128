"""One batch after the other: submitted once, resumed after any crash, taken in whole at every end that one can have.

    planned --upload--> creating --create--> submitted --completed, failed, expired or cancelled--> taking --> gone

Each arrow is durable before the next. After a crash, a batch that may have been created is searched for in the
endpoint's list and never created blindly. What an ended batch did not answer is missing again, and asked again.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

from graded.console import say
from graded.errors import ResumeError, ServiceError
from graded.llm.batch_api import ENDED, Api, connect
from graded.llm.batch_intent import Folder, Intent
from graded.llm.batch_loop import Loop
from graded.llm.batch_take import Intake, taken
from graded.llm.ledger import Ledger
from graded.llm.request import Model
from graded.llm.writer import Writer

#: Times that a request may come back without a reply before it is given up for this run.
TRIES = 3
#: The smallest batch that is worth trying again where the endpoint says that too many tokens are enqueued.
SMALLEST = 100


class Seen(NamedTuple):
    """A batch after a step: the endpoint's word for its status, replies so far, and requests in all."""

    name: str
    status: str
    replies: int
    requests: int


class Driver:
    """Takes batches further, over connections that stay open; use it as a context manager."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        #: Replies that did not come, by key, and why they did not.
        self.failures: Counter[bytes] = Counter()
        self.reasons: Counter[str] = Counter()
        #: Has the endpoint said that too many tokens are enqueued, and how many requests a batch may have since.
        self.crowded = False
        self.most: int | None = None
        self.loop = Loop()
        self._open = AsyncExitStack()
        self._apis: dict[str, Api] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.close(self._open.aclose())

    def advance(self, folder: Folder) -> Seen | None:
        """Take one batch a step further; None where another process is at it, or it has ended.

        Raises:
            ServiceError: the endpoint refuses, or the batch failed.
            DataError: the batch's folder is damaged.
            ResumeError: the batch was cancelled by hand, and what it had is taken in; or a signal came.
        """
        return self.loop.run(self._advance(folder))

    async def _advance(self, folder: Folder) -> Seen | None:
        with folder.lock() as held:
            intent = folder.read() if held else None
            if intent is None:
                return None
            try:
                return await self._step(folder, intent)
            except ServiceError as error:
                left = folder.read()
                if left is None:
                    raise
                raise ServiceError(f"{error}; {_way_out(left)}") from None

    async def _step(self, folder: Folder, intent: Intent) -> Seen:
        api = await self._api(intent)
        if intent.step in ("planned", "creating"):
            intent = await self._send(folder, intent, api)
        batch = await api.retrieve(str(intent.batch_id))
        replies = int(batch.request_counts.completed) if batch.request_counts else 0
        if batch.status in ENDED:
            replies = await self._take_in(folder, intent, batch, api)
        return Seen(batch.id, batch.status, replies, intent.requests)

    async def _api(self, intent: Intent) -> Api:
        """Return the connection for a batch's annotator."""
        name = f"{intent.param} {intent.model}"
        if name not in self._apis:
            opened = connect(Model.model_validate(intent.model), intent.param)
            self._apis[name] = await self._open.enter_async_context(opened)
        return self._apis[name]

    async def _send(self, folder: Folder, intent: Intent, api: Api) -> Intent:
        """Upload and create what was planned, or find what was created before a crash."""
        batch = None
        folder.requests(intent)  # nothing is sent whose replies could not be told apart
        if intent.step == "creating":
            batch = await api.find(intent)
        if intent.file_id is None:
            file_id = await api.upload(folder.input, intent.name)
            intent = intent.model_copy(update={"file_id": file_id, "step": "creating"})
            folder.write(intent)
        batch = batch or await api.create(intent)
        intent = intent.model_copy(update={"batch_id": batch.id, "step": "submitted"})
        folder.write(intent)
        folder.input.unlink(missing_ok=True)
        say(f"batch {batch.id}: {intent.requests:,} requests of {intent.param} submitted, {intent.dollars}")
        return intent

    async def _take_in(self, folder: Folder, intent: Intent, batch: Any, api: Api) -> int:
        """Take in both files of an ended batch, then let it go."""
        done: set[str] = set()
        requests = folder.requests(intent)
        if intent.step == "taking":
            done = taken(self.ledger.store, str(intent.batch_id))
        folder.write(intent.model_copy(update={"step": "taking"}))
        intake = Intake(self.ledger, intent, requests, done)
        whole = True
        with Writer(self.ledger.store) as writer:
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id:
                    path = folder.path / "answer.jsonl"
                    here = await api.download(file_id, path)
                    whole = whole and here
                    if here:
                        intake.read(path, writer)
            told = int(batch.request_counts.completed) if batch.request_counts else 0
            if batch.status == "completed" or not whole or told > intake.run:
                intake.lose(writer)
        folder.end()
        self.ledger.state.refresh()
        for key, in_vain in intake.failed:
            self.failures[key] += TRIES if in_vain else 1
        self.reasons += intake.reasons
        say(f"batch {batch.id}: {batch.status}, {intake.replies:,} replies of {intent.requests:,} requests")
        if round(intake.usd, 6) > round(intent.usd, 6):
            say(f"batch {batch.id}: it cost ${intake.usd:,.2f}, more than the ${intent.usd:,.2f} reserved for it")
        self._judge(intent, batch, intake.replies)
        return intake.replies

    def _judge(self, intent: Intent, batch: Any, replies: int) -> None:
        """Raise where asking the rest of an ended batch again would be wrong or in vain."""
        if batch.status == "cancelled":
            raise ResumeError(
                f"batch {batch.id} was cancelled; its {replies:,} replies are kept, and the same command asks the rest"
            )
        if batch.status != "failed":
            self.crowded = False
            return
        errors = (batch.errors.data if batch.errors else None) or []
        text = "; ".join(sorted({f"{one.code}: {one.message}" for one in errors}))[:300] or "no reason given"
        crowd = any("token_limit" in str(one.code) or "nqueued token" in str(one.message) for one in errors)
        if not crowd or intent.requests <= SMALLEST:
            raise ServiceError(f"{intent.param}: batch {batch.id} failed and nothing of it was run: {text}")
        self.crowded, self.most = True, max(intent.requests // 2, SMALLEST)
        say(f"batch {batch.id}: {text}; its requests go into smaller batches, after those that are under way")


def _way_out(intent: Intent) -> str:
    """Return what else can be done where the endpoint of ``intent`` does not answer."""
    if intent.step == "planned":
        return "nothing was sent, so another base_url or mode in params.yaml makes the batch anew"
    return f"to do without its replies: graded batches --give-up {intent.name}"
