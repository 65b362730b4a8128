"""Stage retrieve at size: memory that does not grow, restarts, and several processes beside one.

    python -m bench.retrieve --part memory [--keep]      peak of a stream of 100k, 1M and 3M passages, dim 384
    python -m bench.retrieve --part processes [--keep]   1 and 4 processes of one thread each: wall time, equal runs
    python -m bench.retrieve --part stage [--keep] [--passages 1000000] [--seconds 240]
                                                         the stage's own peak on that many real passages

`stage` stops after --seconds with SIGKILL and exits with 3; the same command goes on from there. The peak is that of
all its starts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.harness import ROOT, Report, peak_memory
from bench.search import CACHE, REAL, K, snippets, unit
from graded.formats import atomic, table

STAGE = ["-m", "graded.stages.retrieve", "--encoder", "data/encoder", "--run"]
PARTS = ("memory", "processes", "stage")
QUERIES = 1000
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what bench.search sets for its own comparison."""
    kept = {name: value for name, value in os.environ.items() if name not in (*THREADS, "OPENBLAS_CORETYPE")}
    return kept | more


def memory(report: Report) -> None:
    """Show the peak memory of a stream of 100k, 1M and 3M passages, each in a process of its own."""
    peaks = []
    for count in (100_000, 1_000_000, 3_000_000):
        command = [sys.executable, "-m", "bench.retrieve", "--stream", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
        peaks.append(float(done.stdout))
        report.ratio(f"peak MB, {count:,} x 384 streamed", [peaks[-1]])
    report.ratio("peak at 3M / peak at 100k", [peaks[-1] / peaks[0]], at_most=1.1)


def stream(count: int) -> None:
    """Search ``count`` generated passages and print the peak of this process, MB."""
    from graded.retrieval.search import top_k

    def shards() -> Iterator[tuple[list[str], np.ndarray]]:
        base = unit(32768, 384, 5)
        for at in range(0, count, 32768):
            size = min(32768, count - at)
            yield [str(at + number) for number in range(size)], np.roll(base, at // 32768, axis=1)[:size]

    top_k(unit(100, 384, 1), shards(), K)
    print(peak_memory() * 1024)


def workspace(folder: Path, passages: int, *, words: int = 3, step: int = 1, unit_size: int = 65536) -> None:
    """Write a workspace whose corpus is real snippets, repeated with new ids where there are too few."""
    from tests.encoders import sample_encoder
    from tests.workspace import write_params

    write_params(folder, retrieve={"k": K, "unit": unit_size})
    sample_encoder(folder / "data/encoder")

    def rows() -> Iterator[tuple[str, str, str]]:
        number = 0
        while number < passages:
            for text in snippets(words, step):
                if number < passages:
                    yield f"d{number}", "", text
                    number += 1

    table.write_rows(folder / "data/corpus/fi.parquet", table.PASSAGES, rows())
    queries = [(f"q{number}", text) for number, text in zip(range(QUERIES), snippets(8, 50), strict=False)]
    table.write_rows(folder / "data/benchmark/real/fi-fi/queries.parquet", table.QUERIES, queries)
    entry = {"query_lang": "fi", "doc_lang": "fi", "corpus": "data/corpus/fi.parquet"}
    atomic.write_json(folder / "data/benchmark/real/benchmark.json", {"directions": [entry]})


def stage(report: Report, passages: int, seconds: float) -> None:
    """Run the stage for ``seconds``; report its peak once it has ended, after as many calls as that takes."""
    folder = CACHE / f"stage-{passages}"
    state = folder / "state.json"
    if not state.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # In a process of its own: Linux adds what this one has held to its children's peaks.
        code = f"from bench.retrieve import workspace, Path; workspace(Path({str(folder)!r}), {passages})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        atomic.write_json(state, {"starts": 0, "seconds": 0.0, "peak": 0.0})
    have = json.loads(state.read_text(encoding="utf-8"))
    start = time.monotonic()
    env = environment(DVC_ROOT=str(folder))
    with subprocess.Popen([sys.executable, *STAGE, "run"], cwd=folder, env=env, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and time.monotonic() - start < seconds:
            time.sleep(0.2)
        stopped = process.poll() is None
        process.kill()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    have = {
        "starts": have["starts"] + 1,
        "seconds": have["seconds"] + time.monotonic() - start,
        "peak": max(have["peak"], peak),
    }
    atomic.write_json(state, have)
    if stopped:
        done = len(list((folder / ".work/hits").glob("[0-9a-f]*.parquet")))
        print(f"stopped after {have['starts']} starts, {done} units of {-(-passages // 65536)}, peak {peak:.0f} MB")
        raise SystemExit(3)
    if process.returncode:
        raise SystemExit(f"the stage failed ({process.returncode})")
    report.ratio(f"peak MB of stage retrieve, {passages:,} real passages", [have["peak"]])
    report.ratio("starts (killed but for the last)", [have["starts"]])
    report.ratio("seconds in all", [have["seconds"]])


def processes(report: Report, rounds: int) -> None:
    """Time 1 and 4 processes of one thread each on the same real passages, encoder loaded in each."""
    cores = sorted(os.sched_getaffinity(0))[:4]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace(folder, 8_000, words=24, step=6, unit_size=125)
        seconds: dict[int, list[float]] = {1: [], 4: []}
        spent: dict[int, list[float]] = {1: [], 4: []}
        found: set[bytes] = set()
        for number in range(rounds):
            for count in (1, 4):
                took, busiest, runs = launched(folder, cores[:count], f"{number}-{count}")
                seconds[count].append(took)
                spent[count].append(busiest)
                print(
                    f"  round {number + 1}/{rounds} {count} processes: {took:.1f} s ({busiest:.1f} CPU)",
                    file=sys.stderr,
                    flush=True,
                )
                found.add(runs)
                if len(found) > 1:
                    raise SystemExit(f"{count} processes gave another run than one")
    report.ratio("one process of one thread, seconds", seconds[1])
    report.ratio("four processes of one thread, seconds", seconds[4])
    ratios = [one / four for one, four in zip(seconds[1], seconds[4], strict=True)]
    report.ratio("one process / four, start-up included", ratios, at_least=3)
    # What a machine that does other work too says least wrongly: no core computes longer than this.
    ratios = [one / four for one, four in zip(spent[1], spent[4], strict=True)]
    report.ratio("the same in CPU seconds of the busiest process", ratios)


def launched(folder: Path, cores: Sequence[int], tag: str) -> tuple[float, float, bytes]:
    """Return the wall seconds of one process a core, the most CPU seconds of one, and the run that they write."""
    start = time.monotonic()
    world = len(cores)
    running = []
    for rank, core in enumerate(cores):
        env = environment(
            RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(world),
            DVC_ROOT=str(folder / tag), **dict.fromkeys(THREADS, "1"),
        )  # fmt: skip
        command = ["taskset", "-c", str(core), sys.executable, *STAGE, f"{tag}/run"]
        running.append(subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL))
    busiest = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        busiest = max(busiest, usage.ru_utime + usage.ru_stime)
    if any(process.returncode for process in running):
        raise SystemExit("a process failed")
    return time.monotonic() - start, busiest, (folder / tag / "run/real/fi-fi.trec").read_bytes()


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieve", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--stream", type=int)
    chosen = parser.parse_args()
    if chosen.stream:
        stream(chosen.stream)
        return
    report = Report("-".join(["retrieve", *(chosen.part or [])]))
    for name in chosen.part or (PARTS if REAL.is_dir() else PARTS[:1]):
        if name == "memory":
            memory(report)
        elif name == "processes":
            processes(report, chosen.rounds)
        else:
            stage(report, chosen.passages, chosen.seconds)
    report.end()


if __name__ == "__main__":
    main()
