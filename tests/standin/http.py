"""Just enough HTTP/1.1 on raw asyncio protocols: keep-alive, bodies by length or in chunks, and ways to misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Request(NamedTuple):
    """One request; header names are in small letters."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Response:
    """One response: sent whole, cut in the middle (``torn``) or never (``hang``), ``delay`` seconds from now."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    delay: float = 0.0
    torn: bool = False
    hang: bool = False
    sent: Callable[[bool], None] | None = None
    #: Where given, the answer is put here to be called, and is not sent before.
    held: list[Callable[[], None]] | None = None

    @classmethod
    def of(cls, value: Any, status: int = 200, **fields: Any) -> Response:
        """Return ``value`` as JSON."""
        return cls(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), **fields)


Handler = Callable[[Request], Response]


class Connection(asyncio.Protocol):
    """One client's connection: requests in order, one at a time."""

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop, hang: float) -> None:
        self.handler, self.loop, self.hang = handler, loop, hang
        self.buffer = bytearray()
        self.busy = self.closed = False
        self.pending: Response | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self.pending is not None and self.pending.sent is not None:
            self.pending.sent(False)
            self.pending = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self._next()

    def _next(self) -> None:
        try:
            request = self._parse()
        except (ValueError, IndexError) as error:
            self._write(Response.of({"error": {"message": str(error)}}, 400))
            self.transport.close()
            return
        if request is None:
            return
        self.busy = True
        response = self.handler(request)
        self.pending = response
        if response.hang:
            self.loop.call_later(self.hang, self.transport.abort)
        elif response.held is not None:
            response.held.append(partial(self._answer, response))
        elif response.delay > 0:
            self.loop.call_later(response.delay, self._answer, response)
        else:
            self._answer(response)

    def _answer(self, response: Response) -> None:
        if self.closed:
            return
        self.pending = None
        self._write(response)
        self.busy = False
        if response.sent is not None:
            response.sent(not response.torn)
        if response.torn:
            self.transport.close()
        elif self.buffer:
            self._next()

    def _write(self, response: Response) -> None:
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}", f"content-type: {response.kind}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines += [f"content-length: {len(response.body)}", "", ""]
        body = response.body[: len(response.body) // 2] if response.torn else response.body
        self.transport.write("\r\n".join(lines).encode() + body)

    def _parse(self) -> Request | None:
        """Take one whole request off the buffer, or None while it is not all there."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *rest = self.buffer[:end].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {}
        for line in rest:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue" and len(self.buffer) == end + 4:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            taken = self._chunks(end + 4)
            if taken is None:
                return None
            body, stop = taken
        else:
            stop = end + 4 + int(headers.get("content-length") or 0)
            if len(self.buffer) < stop:
                return None
            body = bytes(self.buffer[end + 4 : stop])
        del self.buffer[:stop]
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()} if parts.query else {}
        return Request(method, parts.path, query, headers, body)

    def _chunks(self, at: int) -> tuple[bytes, int] | None:
        pieces = []
        while True:
            line = self.buffer.find(b"\r\n", at)
            if line < 0:
                return None
            size = int(self.buffer[at:line].split(b";")[0], 16)
            if len(self.buffer) < line + 2 + size + 2:
                return None
            pieces.append(bytes(self.buffer[line + 2 : line + 2 + size]))
            at = line + 2 + size + 2
            if size == 0:
                return b"".join(pieces), at
