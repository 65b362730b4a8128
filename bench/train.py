"""Pairs a second of training: this trainer beside sentence-transformers' own, same texts, weights, batches and loss.

Every measurement is a fresh process: InfoNCE with in-batch negatives, AdamW, warm-up and linear decay, dropout 0 on
both sides, nothing masked. The texts are the shipped sample's: its benchmark's queries and the passages judged
relevant, in six languages. The first steps of a process warm it up and do not count. Peak memory is the process's
highest resident size.

`--rounds` sets the measurements a side, `--only` one part: minilm, half, xlmr, cached, loss, gpu (kept in a file of its
own). On a CPU without bfloat16 instructions the part `half` has no bar: both sides emulate them. Where there is a GPU
the part `gpu` trains an encoder of multilingual-e5-large's shape, its 250,037 rows included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.harness import ROOT, Report, interleave
from bench.train_sides import SIDES, Work

PARTS = ("minilm", "half", "xlmr", "cached", "loss", "gpu")


def measure(side: str, work: Work) -> dict[str, Any]:
    """Run ``side`` on ``work`` in a process of its own and return what it found."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.train", "--side", side, "--work", json.dumps(work._asdict())],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"bench.train: {side} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def speed(
    report: Report, name: str, work: Work, rounds: int, bar: float | None, share: float | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Add the ratio of seconds a step, and what stands behind it; ``share`` is the bar of the share of the peak."""
    kept: dict[str, list[dict[str, Any]]] = {"peer": [], "ours": []}

    def side(which: str) -> float:
        kept[which].append(measure(which, work))
        return float(kept[which][-1]["seconds"])

    found = interleave({"peer": lambda: side("peer"), "ours": lambda: side("ours")}, rounds)
    report.ratio(
        f"{name}: ours / peer", [a / b for a, b in zip(found["peer"], found["ours"], strict=True)], at_least=bar
    )
    for which in ("ours", "peer"):
        report.ratio(f"{name}: {which}, pairs/s", [work.batch / seconds for seconds in found[which]])
    report.ratio(f"{name}: ours, tokens/s", [each["tokens"] / each["seconds"] for each in kept["ours"]])
    report.ratio(f"{name}: ours, GFLOP/s", [each["gflop"] / each["seconds"] for each in kept["ours"]])
    shares = [each["gflop"] / each["seconds"] / each["peak"] for each in kept["ours"]]
    report.ratio(f"{name}: ours, share of matmul peak", shares, at_least=share)
    return kept


def cached(report: Report, work: Work, rounds: int) -> None:
    """A batch of 512 in chunks: speed and peak memory beside CachedMultipleNegativesRankingLoss."""
    name = "batch 512 in chunks"
    kept = speed(report, f"{name}, fp32", work._replace(batch=512, steps=1, warm=0, chunk=2048), rounds, 1.5)
    peaks = [a["memory"] / b["memory"] for a, b in zip(kept["ours"], kept["peer"], strict=True)]
    report.ratio(f"{name}: peak memory, ours / peer", peaks, at_most=1.0)
    report.ratio(f"{name}: peak memory, ours, GB", [each["memory"] for each in kept["ours"]])


def losses(report: Report, work: Work) -> None:
    """The losses of 200 steps on both sides; 6 divides the pairs: the peer knows no short batch within its list."""
    work = work._replace(batch=6, steps=200, warm=0, length=48)
    curves = [measure(side, work)["losses"] for side in ("peer", "ours")]
    gap = max(abs(a - b) for a, b in zip(*curves, strict=True))
    report.ratio("200 steps fp32: largest gap between the losses", [gap], at_most=1e-3)
    report.ratio("200 steps fp32: mean loss", [sum(curves[0]) / len(curves[0])])


def half(report: Report, work: Work, rounds: int) -> None:
    """bfloat16 on both sides; a bar only where the processor has instructions for it."""
    from graded.retrieval.flat_linear import half_is_native

    native = half_is_native()
    mark = "bf16" if native else "bf16, emulated (no instructions for it here)"
    speed(report, f"all-MiniLM-L6-v2 {mark}", work._replace(precision="bf16"), rounds, 1.3 if native else None)


def run(report: Report, part: str, base: Work, rounds: int) -> None:
    """Add one part to the report."""
    if part == "minilm":
        speed(report, "all-MiniLM-L6-v2 fp32", base, rounds, 1.8)
    elif part == "half":
        half(report, base, rounds)
    elif part == "xlmr":
        speed(report, "XLM-R, e5-small's shape, fp32", base._replace(model="e5-small"), rounds, None)
    elif part == "cached":
        cached(report, base, max(1, rounds - 1))
    elif part == "loss":
        losses(report, base)
    else:
        work = base._replace(model="e5-large", batch=256, steps=12, precision="bf16", device="cuda")
        speed(report, "XLM-R, e5-large's shape, bf16 on the GPU", work, rounds, None, 0.4)


def main() -> None:
    """Run the parts and report."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--side", choices=sorted(SIDES))
    parser.add_argument("--work")
    asked = parser.parse_args()
    if asked.side:
        start = time.perf_counter()
        found = SIDES[asked.side](Work(**json.loads(asked.work)))
        print(json.dumps(found | {"whole": time.perf_counter() - start}))
        return
    parts = [asked.only] if asked.only else [part for part in PARTS if part != "gpu" or torch.cuda.is_available()]
    report = Report(f"train-{asked.only}" if asked.only else "train")
    with tempfile.TemporaryDirectory() as folder:
        base = Work(folder=folder, model="minilm", batch=32, steps=asked.steps + 2, warm=2, length=256)
        models = {"xlmr": "e5-small", "gpu": "e5-large"}
        prepare(Path(folder), sorted({models.get(part, "minilm") for part in parts}))
        for part in parts:
            run(report, part, base, asked.rounds)
    report.end()


def prepare(folder: Path, models: list[str]) -> None:
    """Write the model folders and data/pair.parquet into ``folder``, in a process that ends (its memory with it)."""
    code = f"from bench.train_sides import prepare; prepare({str(folder)!r}, {models!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
