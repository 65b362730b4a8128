"""Encoding beside sentence-transformers: same texts, same weights, same process, interleaved.

The peer runs at its default (batch 32) and at the settings that could be its best: batches of 8 and 128, a pool of
one-thread processes, its bfloat16; the best of the run is the one compared with. A ratio is taken round by round.
``--texts`` and ``--rounds`` set the size; ``--model`` names one encoder (all that fit by default): minilm cuts at 256
tokens as it is published, which brings most texts that its English tokenizer does not know to one length; minilm-512
cuts at what the model knows, as the encoders of the e5 family do.
On a machine that other work shares, read the CPU-time row: it counts only what this process computed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import _encoders as encoders
from bench.harness import ROOT, Report, interleave, peak_memory

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

BATCHES = (8, 128)
#: Tokens that all-MiniLM-L6-v2 is given at most.
MINILM = {"minilm": 256, "minilm-512": 512}


def timed(task: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def memory(folder: Path, count: int, side: str) -> float:
    """Return the peak resident GB of one side in a process of its own."""
    command = [sys.executable, "-m", "bench.encode", "--alone", side, "--folder", str(folder), "--texts", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def alone(folder: Path, texts: list[str], side: str) -> None:
    """Encode once and print the peak resident GB."""
    from graded.retrieval.encoder import Encoder

    if side == "ours":
        Encoder.load(folder).encode(texts, "passage")
    else:
        encoders.Peer(folder, "cpu").encode(texts)
    print(peak_memory())


def bench(report: Report, name: str, folder: Path, texts: list[str], rounds: int, *, half: bool, device: str) -> None:
    """Measure one encoder in one dtype on ``device``."""
    from graded.retrieval.encoder import Encoder

    dtype = "bfloat16" if half else "float32"
    mark = f"{name} {dtype}"
    ours = Encoder.load(folder, device=device, dtype=dtype)
    peer = encoders.Peer(folder, device, dtype)
    lengths = ours.tokenizer(texts).lengths
    close(
        f"{mark} cosine",
        ours.encode(texts[:64], "passage"),
        encoders.Peer(folder, device).encode(texts[:64]),
        report,
        half,
    )
    sides: dict[str, Callable[[], float]] = {"ours": lambda: timed(lambda: ours.encode(texts, "passage"))}
    sides["default"] = lambda: timed(lambda: full.encode(texts))
    full = encoders.Peer(folder, device) if half else peer
    for batch in (*BATCHES, *((32,) if half else ())):
        sides[f"batch {batch}"] = partial(lambda batch: timed(lambda: peer.encode(texts, batch)), batch)
    started = None
    if device == "cpu" and not half and ours.workers > 1:
        started = peer.pool(ours.workers)
        sides["processes"] = lambda: timed(lambda: peer.model.encode(texts, pool=started, batch_size=32))
    sides["peak"] = lambda: encoders.peak(device, ours_dtype(dtype, device), ours.workers if device == "cpu" else 1)
    for side in [side for side in sides if side not in ("ours", "peak")]:
        sides[side]()
    times = interleave(sides, rounds)
    if started:
        peer.model.stop_multi_process_pool(started)
    figures(
        report,
        mark,
        times,
        lengths,
        encoders.flops(folder, lengths),
        half=half,
        bars=name.startswith("minilm"),
        device=device,
    )
    if device == "cpu":
        cpu_time(report, mark, ours, full, texts, rounds)


def figures(
    report: Report,
    mark: str,
    times: dict[str, list[float]],
    lengths: Any,
    work: float,
    *,
    half: bool,
    bars: bool,
    device: str,
) -> None:
    """Add the ratios and rates of one encoder to the report."""
    mine, peaks = times["ours"], times["peak"]
    others = [side for side in times if side not in ("ours", "peak", *(("default",) if half else ()))]
    best = min(others, key=lambda side: float(np.median(times[side])))
    first, second = (5.0, 1.8) if half else (3.5, 2.3)
    if half and device == "cpu" and ours_dtype("bfloat16", device) == "float32":
        print(
            f"{mark}: no bfloat16 instructions here: ours computes in float32, the peer emulates; reported without bars"
        )
        bars = False
    share = 0.5 if half and device != "cpu" else None
    report.ratio(f"{mark}: default / ours", ratios(times["default"], mine), at_least=first if bars else None)
    report.ratio(f"{mark}: best ({best}) / ours", ratios(times[best], mine), at_least=second if bars else None)
    bound = [t * p / work for t, p in zip(times["default"], peaks, strict=True)]
    report.ratio(f"{mark}: default / all at matmul peak", bound)
    report.ratio(f"{mark}: kilotokens/s", [lengths.sum() / t / 1e3 for t in mine])
    report.ratio(f"{mark}: GFLOP/s", [work / t / 1e9 for t in mine])
    report.ratio(f"{mark}: share of peak", [work / t / p for t, p in zip(mine, peaks, strict=True)], at_least=share)
    report.ratio(f"{mark}: peak GFLOP/s", [p / 1e9 for p in peaks])


def cpu_time(report: Report, mark: str, ours: Any, peer: encoders.Peer, texts: list[str], rounds: int) -> None:
    """Add the ratio of CPU seconds on one thread: what other work on the machine disturbs least."""
    import torch

    from graded.retrieval.threads import one_thread

    some = texts[:: max(1, len(texts) // 64)]

    def spent(task: Callable[[], Any]) -> float:
        start = time.process_time()
        task()
        return time.process_time() - start

    workers, ours.workers = ours.workers, 1
    with one_thread():
        torch.set_num_threads(1)
        sides = {
            "ours": lambda: spent(lambda: ours.encode(some, "passage")),
            "peer": lambda: spent(lambda: peer.encode(some)),
        }
        times = interleave(sides, rounds)
    ours.workers = workers
    report.ratio(f"{mark}: default / ours, CPU s, 1 thread", ratios(times["peer"], times["ours"]))


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def ours_dtype(dtype: str, device: str) -> str:
    """The dtype our products really have: float32 where a CPU has no bfloat16 instructions."""
    from graded.retrieval.flat_linear import half_is_native

    return dtype if device != "cpu" or half_is_native() else "float32"


def close(name: str, mine: Any, theirs: Any, report: Report, half: bool) -> None:
    """Add the smallest cosine of our vectors with the peer's in float32, whose bar is the issue's."""
    theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    report.ratio(name, [float((mine * theirs).sum(1).min())], at_least=0.999 if half else 0.9999)


def main() -> None:
    """Run the benchmark."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", action="append", choices=[*MINILM, *encoders.SHAPES])
    parser.add_argument("--dtype", action="append", choices=["float32", "bfloat16"])
    parser.add_argument("--alone", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="write bench/results/")
    chosen = parser.parse_args()
    if chosen.alone:
        alone(chosen.folder, encoders.passages(chosen.texts), chosen.alone)
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report = Report("-".join(["encode", *(chosen.model or [])]))
    for name in chosen.model or [*MINILM, "e5-small", *(["e5-large"] if device == "cuda" else [])]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            encoders.minilm(folder, MINILM[name]) if name in MINILM else encoders.shaped(folder, name)
            for dtype in chosen.dtype or ["float32", "bfloat16"]:
                texts = encoders.passages(share(chosen.texts, name, dtype, device))
                bench(report, name, folder, texts, chosen.rounds, half=dtype == "bfloat16", device=device)
            if device == "cpu":
                for side in ("ours", "peer"):
                    report.ratio(f"{name}: peak GB, {side}", [memory(folder, chosen.texts, side)])
    report.end()


def share(count: int, name: str, dtype: str, device: str) -> int:
    """Return how many texts one part of the run gets, so that each takes about as long; a GPU gets more."""
    if device != "cpu":
        return 40 * count
    return max(8, count // (1 if name in MINILM else 4) // (4 if dtype != ours_dtype(dtype, device) else 1))


if __name__ == "__main__":
    main()
