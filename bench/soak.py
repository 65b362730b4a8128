"""Killed fifty times: 5,000 pairs bought from the stand-in by a process that kill -9 ends at random moments.

Mixed in: 429, 500, time-outs, torn connections and malformed JSON. Then the same with other buyers: two processes at
once, `dvc exp run --temp`, and two of DVC's queue workers. What the server itself counted is set against the
ledger: no durable reply is lost, no request is billed twice but those that the ledger reports as possibly paid, and the
grades are byte-identical to those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.harness import Report
from graded.llm.client import body
from graded.llm.ledger import Ledger, spent
from graded.llm.lines import decode
from graded.llm.request import Model, key
from graded.stages import grade
from tests.llm import buying
from tests.standin import Faults, StandIn, key_of

FAULTS = {"rate": 0.02, "error": 0.02, "timeout": 0.005, "torn": 0.01, "json": 0.01}
Start = Callable[[Path], list[subprocess.Popen[str]]]


def possibly(folder: Path) -> Counter[str]:
    """Return how often the ledger says that a request may have been billed without a reply, by the key's first half."""
    ledger = Ledger(folder)
    found = Counter(one["key"][:32] for one in map(decode, ledger.lines()) if one["kind"] == "lost")
    for held in ledger.state.held.values():
        found.update(list(held))
    return found


def keys(folder: Path) -> set[str]:
    """Return the keys of the durable replies."""
    return {one["key"] for one in map(decode, Ledger(folder).lines()) if one["kind"] == "reply"}


def buyers(folder: Path) -> list[psutil.Process]:
    """Return the processes that buy for this workspace, wherever DVC has started them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            here = process.cwd() == str(folder) or process.environ().get("DVC_ROOT") == str(folder)
            if here and "graded.stages.grade" in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill(folder: Path, running: list[subprocess.Popen[str]]) -> None:
    """End what was started and whatever buys for this workspace with SIGKILL."""
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    while found := buyers(folder):  # a queue worker starts its next task when one has died
        for one in found:
            with contextlib.suppress(psutil.Error):
                one.kill()
        time.sleep(0.2)


def moment(server: StandIn, buyer: subprocess.Popen[str], replies: int, seconds: float) -> bool:
    """Wait for ``replies`` more, then ``seconds``, then for a request in flight; return whether there is one now."""
    goal, until = server_replies(server) + replies, time.monotonic() + 60
    while server_replies(server) < goal and time.monotonic() < until and buyer.poll() is None:
        time.sleep(0.005)
    time.sleep(seconds)
    while not server.in_flight and time.monotonic() < until and buyer.poll() is None:
        time.sleep(0.001)
    return server.in_flight > 0


def soak(name: str, start: Start, pairs: int, kills: int, report: Report, undisturbed: bytes, seed: int) -> None:
    """Buy ``pairs`` in a fresh workspace with ``kills`` kills, and add what was found to ``report``."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as name_of, StandIn(faults=Faults(FAULTS), latency=0.05) as server:
        folder = Path(name_of).resolve()
        buying.make(folder, server, pairs=pairs, in_flight=32, timeout=2.0)
        prepare(folder)
        lost, hits, kept = 0, 0, set[str]()
        for number in range(kills):
            running = start(folder)
            hits += moment(server, running[0], draw.randint(0, 9 * pairs // kills // 5), draw.random() * 0.1)
            kill(folder, running)
            now = keys(folder)
            lost += len(kept - now)
            kept = now
            print(f"  {name} kill {number + 1}/{kills}: {len(kept):,} replies durable", file=sys.stderr, flush=True)
        for process in start(folder):
            said = process.communicate()[0]
            if process.returncode:
                raise SystemExit(f"{name}: the last run failed: {said}")
        for process in [buying.start(folder)]:
            process.communicate()
        lost += len(kept - keys(folder))
        known = possibly(folder)
        billed = {name: server.counts.billed[other] for name, other in names(folder, server).items()}
        twice = sum(count - 1 for count in billed.values())
        unreported = sum(max(count - 1 - known[name[:32]], 0) for name, count in billed.items())
        same = buying.result(folder) == undisturbed
        money = spent(folder)
        seen = f"{server.counts.requests.total():,} requests, {len(server.counts.billed):,} keys billed"
        more = f"{twice:,} billed again, {known.total():,} possibly paid; {dict(server.counts.kinds)}"
        print(f"  {name}: {seen}, {more}", file=sys.stderr)
        report.ratio(f"{name}: kills with requests in flight", [hits], at_least=kills)
        report.ratio(f"{name}: durable replies lost", [lost], at_most=0)
        report.ratio(f"{name}: billed twice and not reported", [unreported], at_most=0)
        report.ratio(f"{name}: grades differ from an undisturbed run", [float(not same)], at_most=0)
        report.ratio(f"{name}: billed again, of {pairs:,} requests", [twice])
        report.ratio(f"{name}: possibly paid", [known.total()])
        report.ratio(
            f"{name}: dollars billed / dollars accounted for",
            [buying.dollars(server) / (money.paid + money.lost + money.reserved)],
            at_most=1,
        )


def names(folder: Path, server: StandIn) -> dict[str, str]:
    """Return the ledger's key of each request with the server's own name for it."""
    model = Model(**buying.judge(server, in_flight=32, timeout=2.0))
    with contextlib.chdir(folder):
        asked = [ask.messages for ask in grade.asks(["fi"])]
    return {key(model, one).hex(): key_of(json.loads(body(model, one))) for one in asked}


def server_replies(server: StandIn) -> int:
    """Return how many requests the server has answered well."""
    return server.counts.kinds["ok"]


def prepare(folder: Path) -> None:
    """Make the workspace a git and DVC repository with one stage, for `dvc exp run --temp`."""
    stage = "stages:\n  grade:\n    cmd: python -m graded.stages.grade\n    params: [grade]\n    outs: [data/grade]\n"
    (folder / "dvc.yaml").write_text(stage, encoding="utf-8")
    (folder / ".gitignore").write_text("/.ledger/\n", encoding="utf-8")
    who = {f"GIT_{role}_{what}": "soak@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dvc = [sys.executable, "-m", "dvc"]
    for command in (
        ["git", "init", "-q"],
        [*dvc, "init", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "soak"],
    ):
        subprocess.run(command, cwd=folder, env={**os.environ, **who}, check=True, capture_output=True)


def plain(folder: Path) -> list[subprocess.Popen[str]]:
    """One process."""
    return [command(folder, sys.executable, "-m", "graded.stages.grade")]


def two(folder: Path) -> list[subprocess.Popen[str]]:
    """Two processes at once."""
    copies = [folder]
    other = folder / ".copy"
    if not other.exists():
        shutil.copytree(folder, other, ignore=shutil.ignore_patterns(".ledger", ".git", ".dvc", ".copy"))
    return [command(one, sys.executable, "-m", "graded.stages.grade", root=folder) for one in [*copies, other]]


def temp(folder: Path) -> list[subprocess.Popen[str]]:
    """An experiment in DVC's temporary copy of the repository."""
    return [command(folder, sys.executable, "-m", "dvc", "exp", "run", "--temp", "--force")]


def queue(folder: Path) -> list[subprocess.Popen[str]]:
    """Two experiments that two of DVC's queue workers run at once; a process that waits for both stands for them."""
    dvc = f"{sys.executable} -m dvc"
    script = (
        f"{dvc} queue remove --all -q; {dvc} exp run --queue -q -S grade.annotators.a.timeout=2.1 && "
        f"{dvc} exp run --queue -q -S grade.annotators.a.timeout=2.2 && {dvc} queue start -q -j 2 && sleep 5 && "
        f"while {dvc} queue status | grep -qE '[1-9][0-9]* active'; do sleep 1; done"
    )
    return [command(folder, "bash", "-c", script)]


def command(folder: Path, *words: str, root: Path | None = None) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    environment = buying.environment(folder, 1000.0)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if root is not None:
        environment["DVC_ROOT"] = str(root)
    return subprocess.Popen(
        words, cwd=folder, env=environment, text=True, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def main() -> None:
    """Run the soaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=50, help="of one process")
    parser.add_argument("--others", type=int, default=50, help="kills of the other buyers")
    parser.add_argument("--only", choices=["one process", "two processes", "dvc exp run --temp", "two queue workers"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="also write bench/results/soak.json")
    options = parser.parse_args()
    report = Report("soak")
    with tempfile.TemporaryDirectory(prefix="soak-") as name, StandIn() as server:
        buying.make(Path(name), server, pairs=options.pairs)
        for process in plain(Path(name)):
            process.communicate()
        undisturbed = buying.result(Path(name))
    starts: dict[str, tuple[Start, int]] = {
        "one process": (plain, options.kills),
        "two processes": (two, options.others),
        "dvc exp run --temp": (temp, options.others),
        "two queue workers": (queue, options.others),
    }
    for name, (start, kills) in starts.items():
        if options.only in (None, name):
            soak(name, start, options.pairs, kills, report, undisturbed, options.seed)
    report.end()


if __name__ == "__main__":
    main()
