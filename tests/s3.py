"""An S3 server on loopback behind a wire that counts bytes and can be cut, slowed or left hanging.

    with Bucket() as bucket:
        clones.run(folder, "dvc", "push", **bucket.environment)
        bucket.wire.up, bucket.wire.down

The server is moto's, a real HTTP server that botocore talks to; the wire is a plain TCP relay in front of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
import urllib.request
from types import TracebackType
from typing import Any, Self

NAME = "team"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


class Wire:
    """Relays TCP connections to ``target`` on loopback and counts their bytes.

    ``cut_after``: bytes towards the server after which a connection is reset, once a connection (None: never).
    ``hang``: connections are taken and nothing is passed on. ``delay``: seconds before anything is passed back.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.up = self.down = 0
        self.cut_after: int | None = None
        self.hang = False
        self.delay = 0.0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def moved(self) -> tuple[int, int]:
        """Return the bytes sent to and received from the server since the last call."""
        moved, self.up, self.down = (self.up, self.down), 0, 0
        return moved

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.hang:
                threading.Thread(target=self._hold, args=(client,), daemon=True).start()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            for ends in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._relay, args=ends, daemon=True).start()

    def _hold(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while client.recv(1 << 16):
                pass

    def _relay(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if up:
                    passed += len(data)
                    self.up += len(data)
                    if self.cut_after is not None and passed > self.cut_after:
                        break
                else:
                    time.sleep(self.delay)
                    self.down += len(data)
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Bucket:
    """A running server with one bucket named :data:`NAME`; ``environment`` is what a client needs."""

    def __enter__(self) -> Self:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self._port = int(self._server.get_host_and_port()[1])
        self.wire = Wire(self._port)
        self.environment = dict(KEYS)
        self.tell("reset")
        self.client().create_bucket(Bucket=NAME)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.close()
        self._server.stop()

    @property
    def endpoint(self) -> str:
        """The wire's address."""
        return f"http://127.0.0.1:{self.wire.port}"

    def client(self, service: str = "s3", **keys: str) -> Any:
        """Return a boto3 client that goes round the wire."""
        import boto3

        chosen = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"} | keys
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self._port}", region_name=KEYS["AWS_DEFAULT_REGION"], **chosen
        )

    def objects(self, prefix: str = "") -> dict[str, int]:
        """Return the keys in the bucket with their sizes."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=NAME, Prefix=prefix)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", [])}

    def tell(self, what: str, data: bytes = b"") -> Any:
        """POST to moto's own API; ``reset`` forgets everything, ``reset-auth`` with b"0" checks keys from now on."""
        address = f"http://127.0.0.1:{self._port}/moto-api/{what}"
        request = urllib.request.Request(address, data=data, method="POST", headers={"Content-Type": "text/plain"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"{}")
