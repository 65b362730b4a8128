"""A real HTTP server that breaks off, lies and forgets, and the pins of what it serves."""

from __future__ import annotations

import hashlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from graded.sources.fetch import Pin

CONTENT = bytes(range(256)) * 20_000


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every path; faults are set by a test."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.faults: Counter[str] = Counter()
        self.ranges = True
        self.location: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        for fault, code in (("503", 503), ("404", 404), ("401", 401)):
            if self.server.faults[fault]:
                self.server.faults[fault] -= 1
                self.send_error(code)
                return
        if self.server.location is not None:
            self.send_response(302)
            self.send_header("Location", self.server.location)
            self.end_headers()
            return
        start = 0
        if self.server.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        if self.server.faults["cut"]:
            self.server.faults["cut"] -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def pin(server: Server, path: str = "a/b.bin", md5: str | None = None) -> Pin:
    return Pin(path, f"{server.url}/{path}", len(CONTENT), md5 or hashlib.md5(CONTENT).hexdigest())
