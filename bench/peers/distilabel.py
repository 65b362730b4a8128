"""distilabel's OpenAILLM, 512 requests a call (it gathers a call's requests); prints replies a second."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

PASSAGE = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 40


def main(url: str, requests: int) -> None:
    """Ask ``requests`` times."""
    llms: Any = importlib.import_module("distilabel.models.llms")
    llm = llms.OpenAILLM(model="gpt-4o-2024-11-20", base_url=url, api_key="any")
    llm.load()
    inputs = [[{"role": "user", "content": f"{number} {PASSAGE}"}] for number in range(requests)]
    start, done = time.perf_counter(), 0
    for first in range(0, requests, 512):
        done += len(llm.generate_outputs(inputs=inputs[first : first + 512], max_new_tokens=8, temperature=0.0))
    print(done / (time.perf_counter() - start))


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, where this file would hide the package of the same name
    main(sys.argv[1], int(sys.argv[2]))
