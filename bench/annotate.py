"""Replies a second: this engine, with its ledger, beside the openai client at its defaults, on one server on loopback.

The server is the tests' stand-in in a process of its own, 0.2 s latency, 2.5 KB prompts, five logprobs; 512 requests in
flight. Every side runs in a fresh process; a rate counts the whole call, from the first key to the last reading.
``--pairs`` sets the requests a side and round, ``--rounds`` the rounds; ``--memory 0`` leaves out the run at a million;
``--peer distilabel=/path/to/venv/bin/python`` adds another client (bench/peers/) from an environment that has it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import ROOT, Report, interleave

IN_FLIGHT, LATENCY = 512, 0.2
MODEL = "gpt-4o-2024-11-20"
PASSAGE = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 14


def messages(number: int) -> list[dict[str, str]]:
    """Return the messages of pair ``number``: five passages to a query."""
    from graded.llm.prompts import grade_messages

    return grade_messages(f"query {number // 5}", f"{number} {PASSAGE}")


@contextmanager
def server(latency: float = LATENCY) -> Iterator[str]:
    """Run the stand-in and yield its base URL."""
    command = [sys.executable, "-m", "tests.standin", "--latency", str(latency)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def side_openai(url: str, pairs: int, folder: Path) -> float:
    """The openai client at its defaults, 512 workers; nothing is kept."""
    import openai

    async def main() -> float:
        async with openai.AsyncOpenAI(base_url=url, api_key="any") as client:
            numbers = iter(range(pairs))

            async def worker() -> None:
                for number in numbers:
                    chat: Any = client.chat.completions
                    reply = await chat.create(
                        model=MODEL, messages=messages(number), temperature=0.0, max_completion_tokens=8,
                        logprobs=True, top_logprobs=5,
                    )  # fmt: skip
                    assert reply.choices[0].message.content

            start = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
            return time.perf_counter() - start

    return asyncio.run(main())


def side_ours(url: str, pairs: int, folder: Path) -> float:
    """This engine, ledger and all."""
    import numpy as np

    from graded.llm.annotate import annotate
    from graded.llm.job import Ask, How, Job
    from graded.llm.ledger import Ledger
    from graded.llm.request import Model
    from graded.stages.grade import DTYPE, read

    model = Model(model=MODEL, base_url=url, max_tokens=8, top_logprobs=5, in_flight=IN_FLIGHT)
    job = Job("grade", "bench", model, lambda: (Ask("en", partial(messages, number)) for number in range(pairs)))
    start = time.perf_counter()
    (found,) = annotate(Ledger(folder), [job], DTYPE, read, How())
    spent = time.perf_counter() - start
    assert np.all(found["outcome"] == 0)
    return spent


def side_bare(url: str, pairs: int, folder: Path) -> float:
    """The same engine without a ledger: a desk that reserves and writes nothing, and reads each reply itself."""
    from graded.llm import desk
    from graded.llm.buy import buy
    from graded.llm.feed import Feed
    from graded.llm.job import Ask, Job, Want
    from graded.llm.ledger import Ledger
    from graded.llm.request import Model
    from graded.stages.grade import read

    class Nothing(desk.Desk):
        def block(self, feed: Feed, count: int) -> desk.Block:
            items = feed.take(count)
            for item in items:
                item.held = feed.most(item)
            return desk.Block(items)

        def settle(self, ended: Any) -> None:
            assert all(read(answer.reply)[0] == 0 for _, answer, _ in ended)

    import graded.llm.buy

    setattr(graded.llm.buy, "Desk", Nothing)  # noqa: B010
    model = Model(model=MODEL, base_url=url, max_tokens=8, top_logprobs=5, in_flight=IN_FLIGHT)
    job = Job("grade", "bench", model, lambda: (Ask("en", partial(messages, number)) for number in range(pairs)))
    ledger = Ledger(folder)
    start = time.perf_counter()
    want = Want(job, 1)
    want.look(ledger)
    buy(ledger, [want], 1e9)
    return time.perf_counter() - start


def side_memory(url: str, pairs: int, folder: Path) -> float:
    """Take ``pairs`` readings, the last 10,000 of them bought now; returns the most memory in MB."""
    from graded.llm.ledger import Ledger
    from graded.llm.reply import Reply, TokenTop, Usage, to_json
    from graded.llm.request import Model, key
    from graded.llm.writer import Writer, now

    if not (folder / ".ledger").exists():
        model = Model(model=MODEL, base_url=url, max_tokens=8, top_logprobs=5)
        top = tuple((str(grade), -0.5 - grade) for grade in range(5))
        tokens = (TokenTop("[", ()), TokenTop("2", top), TokenTop("]", ()))
        reply = to_json(Reply("[2]", logprobs=tokens, usage=Usage(700, 3), model=MODEL, system_fingerprint="fp"))
        more = {"stage": "grade", "lang": "en", "family": "openai", "model": MODEL, "in": 2500, "reply": reply}
        with Writer(Ledger(folder).store) as live:
            for start in range(0, pairs - 10_000, 1000):
                keys = (key(model, messages(number)) for number in range(start, start + 1000))
                live.write([{"key": one.hex(), "kind": "reply", "at": now(), "usd": 0.001, **more} for one in keys])
                live.sync()
        return 0.0
    side_ours(url, pairs, folder)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


SIDES: dict[str, Callable[[str, int, Path], float]] = {
    "openai": side_openai, "ours": side_ours, "bare": side_bare, "memory": side_memory,
}  # fmt: skip


def start(side: str, url: str, pairs: int, folder: Path) -> subprocess.Popen[str]:
    """Start one side in a process of its own."""
    command = [sys.executable, "-m", "bench.annotate", "--side", side, "--url", url, "--pairs", str(pairs)]
    environment = {**os.environ, "GRADED_BUDGET_USD": "1000000", "OPENAI_API_KEY": "any"}
    return subprocess.Popen(
        [*command, "--folder", str(folder)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


def finish(*processes: subprocess.Popen[str]) -> list[float]:
    """Return what the sides' processes printed."""
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"a side failed: {said}")
    return [float(one.split()[-1]) for one in said]


def rate(side: str, url: str, pairs: int, processes: int = 1) -> float:
    """Return replies a second of ``processes`` that share one ledger."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".work") as folder:
        running = [start(side, url, pairs * processes, Path(folder)) for _ in range(processes)]
        return pairs * processes / max(finish(*running))


def peer(name: str, python: str, url: str, requests: int) -> float:
    """Return replies a second of another client, run by its own environment's interpreter."""
    command = [python, str(ROOT / "bench" / "peers" / f"{name}.py"), url, str(requests)]
    said = subprocess.run(command, cwd=ROOT / ".work", capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(f"{name} cannot be run by {python}: {said.stderr.strip().splitlines()[-1]}")
    return float(said.stdout.split()[-1])


def main() -> None:
    """Run all sides, or with ``--side`` one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=24000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=1_000_000, help="pairs of the memory run; 0: none")
    parser.add_argument("--keep", action="store_true", help="also write bench/results/annotate.json")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--url", default="")
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--peer", action="append", default=[], help="distilabel, curator or umbrela=PYTHON")
    options = parser.parse_args()
    if options.side:
        print(SIDES[options.side](options.url, options.pairs, options.folder))
        return
    (ROOT / ".work").mkdir(exist_ok=True)
    report = Report("annotate")
    with server() as url:
        pairs = options.pairs
        sides: dict[str, Callable[[], float]] = {
            "openai": lambda: rate("openai", url, pairs // 6),
            "ours": lambda: rate("ours", url, pairs),
            "bare": lambda: rate("bare", url, pairs),
            "two": lambda: rate("ours", url, pairs, processes=2),
        }
        peers = dict(one.split("=", 1) for one in options.peer)
        for name, python in peers.items():
            peer(name, python, url, 2)  # before the long rounds, so that one which does not start costs no time
            sides[name] = partial(peer, name, python, url, max(pairs // 12, 512))
        found = interleave(sides, options.rounds)
        report.ratio("replies/s, one process", found["ours"], at_least=900)
        report.ratio("ours / openai at its defaults", ratios(found["ours"], found["openai"]), at_least=2.5)
        report.ratio("two processes / one", ratios(found["two"], found["ours"]), at_least=1.6)
        cost = [1 - one for one in ratios(found["ours"], found["bare"])]
        report.ratio("share of time that the ledger takes", cost, at_most=0.10)
        for name in peers:
            report.ratio(f"ours / {name}", ratios(found["ours"], found[name]))
        if options.memory:
            with tempfile.TemporaryDirectory(dir=ROOT / ".work") as folder:
                finish(start("memory", url, options.memory, Path(folder)))
                most = finish(start("memory", url, options.memory, Path(folder)))
            report.ratio(f"MB at {options.memory:,} pairs", most, at_most=400)
    report.end()


def ratios(ours: list[float], peer: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [one / other for one, other in zip(ours, peer, strict=True)]


if __name__ == "__main__":
    main()
