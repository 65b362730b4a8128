"""UMBRELA's GPTJudge, which asks one request after another; prints replies a second.

Its package wants pyserini, with PyTorch and Java, for few-shot examples out of Lucene's indexes. None are asked for
here, so that empty modules stand in (`pip install --no-deps umbrela openai tqdm "setuptools<80"`).
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from types import ModuleType
from typing import Any

PASSAGE = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 40


def main(url: str, requests: int) -> None:
    """Ask ``requests`` times, at most 100: at 0.2 s a reply these take 20 seconds."""
    requests = min(requests, 100)
    os.environ.update(OPENAI_BASE_URL=url, OPEN_AI_API_KEY="any", DEPLOYMENT_NAME="gpt-4o-2024-11-20")
    os.environ.update(AZURE_OPENAI_API_VERSION="", AZURE_OPENAI_API_BASE="")  # empty: the plain endpoint
    for name, names in {"index.lucene": ["IndexReader"], "search": ["get_qrels", "get_topics"]}.items():
        sys.modules[f"pyserini.{name}"] = module = ModuleType(f"pyserini.{name}")
        module.__dict__.update(dict.fromkeys(names))
    judge: Any = importlib.import_module("umbrela.gpt_judge").GPTJudge(qrel="", few_shot_count=0)
    candidates = [{"doc": {"segment": f"{number} {PASSAGE}"}} for number in range(requests)]
    start = time.perf_counter()
    outputs = judge.predict_with_llm({"query": {"text": "lorem"}, "candidates": candidates}, 8)
    seconds = time.perf_counter() - start
    if not all(outputs):
        raise SystemExit("UMBRELA got no reply")
    print(len(outputs) / seconds)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, where this file would hide the package of the same name
    main(sys.argv[1], int(sys.argv[2]))
