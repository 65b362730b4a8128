"""The server: routes, faults and counts."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from tests.standin.batches import Batches
from tests.standin.bucket import Bucket
from tests.standin.chat import Answer, Body, answer, completion, encoded, key_of
from tests.standin.counts import Counts
from tests.standin.faults import Faults
from tests.standin.http import Connection, Request, Response

#: Seconds that a request with the fault `timeout` is left without an answer before its connection is closed.
HANG = 60.0


class StandIn:
    """The server, in a thread of its own between ``__enter__`` and ``__exit__``.

    Args:
        answer: text for a chat request's body.
        latency: seconds before an answer.
        faults: see :class:`Faults`; ``choose(key, attempt, body)``, where given, names the fault instead.
        rate: requests a second before 429, None for no limit; shown in the rate-limit headers.
        retry_after: seconds that a 429 asks for.
        api_key: what the client must send; None takes anything.
        port: 0 picks a free one.
    """

    def __init__(
        self,
        answer: Answer = answer,
        *,
        latency: float = 0.0,
        faults: Faults | None = None,
        choose: Callable[[str, int, Body], str | None] | None = None,
        rate: float | None = None,
        retry_after: float = 0.05,
        api_key: str | None = None,
        port: int = 0,
    ) -> None:
        self.answer, self.latency, self.bucket = answer, latency, Bucket(rate, retry_after)
        self.faults, self.choose, self.api_key, self.port = faults or Faults(), choose, api_key, port
        self.counts = Counts()
        self.batches = Batches(self._line)
        #: Faults for the next requests of a route, such as {"POST batches": deque(["torn"])}.
        self.once: dict[str, deque[str]] = {}
        self.in_flight = 0
        #: Chat requests that are answered, then those that follow are held until :meth:`resume`; None holds none.
        self.pause_after: int | None = None
        self._held: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def base_url(self) -> str:
        """What the openai client takes."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(started.set)), daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the stand-in server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(10)

    async def serve(self, started: Callable[[], None] = lambda: None) -> None:
        """Serve until stopped; ``started`` is called once the port is open."""
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        open_connections: weakref.WeakSet[Connection] = weakref.WeakSet()

        def connect() -> Connection:
            connection = Connection(self.handle, asyncio.get_running_loop(), HANG)
            open_connections.add(connection)
            return connection

        server = await self._loop.create_server(connect, "127.0.0.1", self.port, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        started()
        await self._stopped.wait()
        server.close()
        for connection in list(open_connections):
            if hasattr(connection, "transport"):
                connection.transport.abort()

    def resume(self) -> None:
        """Answer what was held, and hold nothing more; called from any thread."""

        def go() -> None:
            self.pause_after = None
            held, self._held = self._held, []
            for send in held:
                send()

        assert self._loop is not None
        self._loop.call_soon_threadsafe(go)

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] == ["stand-in"]:
            return self._own(parts[1:])
        if self.api_key is not None and self.api_key not in (
            request.headers.get("api-key"),
            request.headers.get("authorization", "").removeprefix("Bearer "),
        ):
            return failure(401, "invalid_api_key", "Incorrect API key provided")
        if parts[-2:] == ["chat", "completions"] and request.method == "POST":
            return self._chat(request)
        for name in ("files", "batches"):
            if name in parts:
                return self._stored(request, parts[parts.index(name) :])
        return failure(404, "not_found", f"no route {request.method} {request.path}")

    def _own(self, parts: list[str]) -> Response:
        if parts == ["counts"]:
            return Response.of(self.counts.summary())
        if parts == ["keys"]:
            return Response.of({"requests": self.counts.requests, "billed": self.counts.billed})
        if parts == ["reset"]:
            self.counts = Counts()
            return Response.of({})
        return failure(404, "not_found", "legal: counts, keys, reset")

    def _chat(self, request: Request) -> Response:
        try:
            body = json.loads(request.body)
            key = key_of(body)
            if not isinstance(body["messages"][-1]["content"], str) or not isinstance(body["model"], str):
                raise TypeError("content and model must be strings")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return failure(400, "invalid_request_error", f"not a chat request: {error!r}")
        self.counts.requests[key] += 1
        fault = self._fault(key, body)
        counts = self.counts
        counts.kinds[fault or "ok"] += 1
        self.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, self.in_flight)
        response = self._respond(key, body, fault)
        response.delay = self.latency
        if self.pause_after is not None and counts.requests.total() > self.pause_after:
            response.held = self._held
        billed = response.status == 200
        if billed:
            counts.billed[key] += 1

        def sent(whole: bool) -> None:
            self.in_flight -= 1
            if whole and billed and fault != "json":
                counts.delivered[key] += 1

        response.sent = sent
        return response

    def _fault(self, key: str, body: Body) -> str | None:
        if not self.bucket.admits():
            return "rate"
        attempt = self.counts.requests[key]
        if self.choose is not None:
            return self.choose(key, attempt, body)
        return self.faults.transient(key, attempt) or self.faults.terminal(key)

    def _respond(self, key: str, body: Body, fault: str | None) -> Response:
        if fault == "rate":
            response = failure(429, "rate_limit_exceeded", "Rate limit reached for requests")
            response.headers |= self.bucket.headers() | self.bucket.wait()
            return response
        if fault in _FAILURES:
            return failure(*_FAILURES[fault])
        if fault == "json":
            return Response(200, b'{"id": "chatcmpl-1", "choices": [{"mess')
        answered = self._completion(key, body, fault)
        headers = self.bucket.headers()
        return Response(200, encoded(answered, body), headers, torn=fault == "torn", hang=fault == "timeout")

    def _completion(self, key: str, body: Body, fault: str | None) -> dict[str, Any]:
        answered = completion(body, self.answer(body), key, fault)
        self.counts.tokens["prompt"] += answered["usage"]["prompt_tokens"]
        self.counts.tokens["completion"] += answered["usage"]["completion_tokens"]
        return answered

    def _line(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer one line of a batch; transient faults stay, as nobody asks again within a batch."""
        key = key_of(body)
        self.counts.requests[key] += 1
        fault = self._fault(key, body) if self.bucket.rate is None else None
        self.counts.kinds[f"batch {fault or 'ok'}"] += 1
        if fault in _FAILURES or fault in ("rate", "timeout", "torn", "json"):
            response = failure(*_FAILURES.get(fault or "", (500, "server_error", "The server had an error")))
            return response.status, json.loads(response.body)
        self.counts.billed[key] += 1
        self.counts.delivered[key] += 1
        return 200, self._completion(key, body, fault)

    def _stored(self, request: Request, parts: list[str]) -> Response:
        """Answer for files and batches; a fault asked for by ``once`` happens after the work was done."""
        route = f"{request.method} {parts[0]}"
        queue = self.once.get(route)
        fault = queue.popleft() if queue else None
        if fault in _FAILURES:
            return failure(*_FAILURES[fault])
        if fault == "rate":
            return failure(429, "rate_limit_exceeded", "Rate limit reached")
        response = self.batches.handle(request, parts)
        response.delay, response.torn, response.hang = self.latency, fault == "torn", fault == "timeout"
        return response


def failure(status: int, code: str, message: str) -> Response:
    """Return an error as the API words it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return Response.of({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)


_FAILURES = {
    "error": (500, "server_error", "The server had an error while processing your request"),
    "overloaded": (503, "overloaded", "The engine is currently overloaded"),
    "filtered": (400, "content_filter", "The prompt triggered the content management policy"),
    "invalid": (400, "invalid_value", "Invalid value in the request"),
}
