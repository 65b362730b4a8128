"""bespokelabs-curator's LLM at 512 concurrent requests, without a rate limit; prints replies a second.

Its tokenizer would be fetched from the network at the first request; a count by length stands in for it here.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

PASSAGE = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 40


class Lengths:
    """A quarter of the characters as tokens."""

    def encode(self, text: str, **_: Any) -> range:
        """Return something as long as ``text`` has tokens."""
        return range(len(text) // 4)


def main(url: str, requests: int) -> None:
    """Ask ``requests`` times."""
    os.environ.update(TELEMETRY_ENABLED="false", CURATOR_DISABLE_CACHE="1", CURATOR_VIEWER="0", OPENAI_API_KEY="any")
    tiktoken: Any = importlib.import_module("tiktoken")
    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *_: Lengths()
    curator: Any = importlib.import_module("bespokelabs.curator")
    limits = {"max_requests_per_minute": 10**6, "max_tokens_per_minute": 10**9, "max_concurrent_requests": 512}
    llm = curator.LLM(
        model_name="gpt-4o-2024-11-20",
        backend="openai",
        backend_params={"base_url": url, "api_key": "any", **limits},
        generation_params={"max_tokens": 8, "temperature": 0.0},
    )
    start = time.perf_counter()
    done = len(llm([f"{number} {PASSAGE}" for number in range(requests)]).dataset)
    print(done / (time.perf_counter() - start))


if __name__ == "__main__":
    sys.path.pop(0)
    main(sys.argv[1], int(sys.argv[2]))
