"""A chat server on loopback that costs next to nothing, so that a benchmark measures the client and not the server.

`python -m bench.loopback --latency 0.2` prints its port, answers every POST after that many seconds with a chat
completion of one grade and five logprobs, and ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32


def completion(grade: int, prompt_tokens: int) -> bytes:
    """Return the body of one reply."""
    top = [{"token": str(one), "logprob": -0.1 - one, "bytes": [48 + one]} for one in range(5)]
    tokens = [
        {"token": text, "logprob": -0.1, "bytes": [ord(text)], "top_logprobs": top} for text in ("[", str(grade), "]")
    ]
    body = {
        "id": "chatcmpl-loopback", "object": "chat.completion", "created": 0, "model": "gpt-4o-2024-11-20",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": f"[{grade}]", "refusal": None},
                     "logprobs": {"content": tokens, "refusal": None}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 3, "total_tokens": prompt_tokens + 3,
                  "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}},
        "system_fingerprint": "fp_loopback",
    }  # fmt: skip
    return json.dumps(body).encode()


BODIES = [completion(grade, 700) for grade in range(4)]


class Chat(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.data = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + size:
                return
            body, self.data = self.data[end + 4 : end + 4 + size], self.data[end + 4 + size :]
            asyncio.get_running_loop().call_later(self.latency, self.answer, BODIES[crc32(body) % 4])

    def answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.transport.write(head + body)


async def serve(latency: float) -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Chat(latency), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()


@contextmanager
def running(latency: float) -> Iterator[str]:
    """Start the server in a process of its own and yield its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.loopback", "--latency", str(latency)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before each answer")
    asyncio.run(serve(parser.parse_args().latency))
