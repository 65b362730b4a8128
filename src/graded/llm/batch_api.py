"""OpenAI's Batch interface, and Azure's: the few calls that a batch needs, each safe to be cut off anywhere.

Facts that this rests on: creating twice buys twice, so a creation is never tried again before the list of batches was
searched for it; a batch can end in ``completed`` without an output file; lines come back in any order, and what an
expired or cancelled batch has finished is returned and charged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx2
import openai

from graded.errors import ServiceError
from graded.llm.batch_intent import Intent
from graded.llm.client import client
from graded.llm.request import Family, Model

#: Bytes that one file may have: 200 MB.
BYTES = 200_000_000
#: What a line of the input file names, and so does the batch.
URLS: dict[Family, str] = {"openai": "/v1/chat/completions", "azure": "/chat/completions"}
#: Statuses after which nothing changes any more.
ENDED = ("completed", "failed", "expired", "cancelled")
#: Times that a creation is tried whose outcome is unknown, and seconds before the list is searched for it.
TRIES, SETTLE = 5, 2.0
#: Seconds by which the endpoint's clock may be behind this one's.
CLOCKS = 3600


class Line(NamedTuple):
    """One line of an output or error file; ``status`` is None where the request was not run, ``text`` says why."""

    custom_id: str
    status: int | None
    body: Any
    text: str


class Api:
    """The interface of one annotator; open it with :func:`connect`."""

    def __init__(self, calls: Any, model: Model, param: str) -> None:
        self.calls, self.model, self.param = calls, model, param

    @property
    def address(self) -> str:
        """Where the calls go, without credentials."""
        parts = urlsplit(str(self.calls.base_url))
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))

    async def upload(self, path: Path, name: str) -> str:
        """Upload the input file at ``path`` and return its id, once the endpoint has processed it."""
        with path.open("rb") as file:
            held = await self._try(self.calls.files.create(file=(f"{name}.jsonl", file), purpose="batch"))
        while held.status in ("pending", "running", "uploading"):
            await asyncio.sleep(1.0)
            held = await self._try(self.calls.files.retrieve(held.id))
        if held.status == "error":
            raise ServiceError(f"{self.param}: the endpoint rejects the file {held.id} of batch {name}")
        return str(held.id)

    async def create(self, intent: Intent) -> Any:
        """Create the batch of ``intent``, or return the one that an earlier try has created."""
        batches = self.calls.with_options(max_retries=0).batches
        for attempt in range(TRIES):
            try:
                return await batches.create(
                    input_file_id=intent.file_id,
                    endpoint=URLS[self.model.family],
                    completion_window="24h",
                    metadata={"graded": intent.name, "input": intent.sha256},
                )
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
                said = error
                await asyncio.sleep(SETTLE * 2**attempt)
            except openai.APIStatusError as error:
                raise self._refused(error) from None
            found = await self.find(intent)
            if found is not None:
                return found
        raise ServiceError(f"{self.param}: no batch could be created ({said}); the same command goes on")

    async def find(self, intent: Intent) -> Any | None:
        """Return the batch that was created for ``intent``, or None."""
        try:
            async for batch in self.calls.batches.list(limit=100):
                if (batch.metadata or {}).get("graded") == intent.name:
                    return batch
                if batch.created_at < intent.created / 1000 - CLOCKS:
                    return None
        except openai.APIError as error:
            raise self._refused(error) from None
        return None

    async def retrieve(self, batch_id: str) -> Any:
        """Return the batch as it is now."""
        try:
            return await self.calls.batches.retrieve(batch_id)
        except openai.NotFoundError:
            raise ServiceError(
                f"{self.param}: {self.address} does not know batch {batch_id}, which was created there: is it another"
                " account's key?"
            ) from None
        except openai.APIError as error:
            raise self._refused(error) from None

    async def download(self, file_id: str, path: Path) -> bool:
        """Write a file's content to ``path``; False where the endpoint does not have the file any more."""
        for _ in range(TRIES):
            try:
                async with self.calls.files.with_streaming_response.content(file_id) as response:
                    await response.stream_to_file(path)
                return True
            except openai.NotFoundError:
                return False
            except openai.APIError as error:
                raise self._refused(error) from None
            except httpx2.TransportError as error:  # torn in the middle of the content
                said = error
        raise ServiceError(f"{self.param}: file {file_id} cannot be fetched ({said}); the same command goes on")

    async def _try(self, call: Any) -> Any:
        try:
            return await call
        except openai.APIError as error:
            raise self._refused(error) from None

    def _refused(self, error: openai.APIError) -> ServiceError:
        said = " ".join(str(error).split())[:300]
        return ServiceError(
            f"{self.param}: the batch interface at {self.address} says: {said}; the same command goes on"
        )


@asynccontextmanager
async def connect(model: Model, param: str) -> AsyncIterator[Api]:
    """Open the batch interface of ``model``; errors as :func:`graded.llm.client.client`."""
    # No redirection is followed: it would carry the key and the texts to another place.
    http = openai.DefaultAsyncHttpxClient(follow_redirects=False)
    async with http, client(model, param, max_retries=5, http_client=http) as calls:
        yield Api(calls, model, param)


def lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a downloaded file; one that cannot be read has no custom id."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield _line(line)


def _line(line: bytes) -> Line:
    try:
        fields = json.loads(line)
        response, error = fields.get("response") or {}, fields.get("error") or {}
        status = response.get("status_code")
        text = error.get("message") or error.get("code") or ""
        return Line(str(fields["custom_id"]), status, response.get("body"), str(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Line("", None, None, "a line that cannot be read")
