"""Pairs a second of training: this trainer beside sentence-transformers' own, same texts, weights, batches and loss.

Every measurement is a fresh process: InfoNCE with in-batch negatives, AdamW, warm-up and linear decay, dropout 0 on
both sides, nothing masked. The texts are the shipped sample's: its benchmark's queries and the passages judged
relevant, in six languages. The first steps of a process warm it up and do not count. Peak memory is the process's
highest resident size.

`--rounds` sets the measurements a side, `--only` one part: minilm, xlmr, cached, loss.
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


def speed(report: Report, name: str, work: Work, rounds: int, bar: float | None) -> dict[str, list[dict[str, Any]]]:
    """Add the ratio of seconds a step, and what stands behind it."""
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
    report.ratio(
        f"{name}: ours, share of matmul peak", [each["gflop"] / each["seconds"] / each["peak"] for each in kept["ours"]]
    )
    return kept


def main() -> None:
    """Run the parts and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["minilm", "xlmr", "cached", "loss"])
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
    report = Report("train")
    with tempfile.TemporaryDirectory() as folder:
        parts = [asked.only] if asked.only else ["minilm", "xlmr", "cached", "loss"]
        base = Work(folder=folder, model="minilm", batch=32, steps=asked.steps + 2, warm=2, length=256)
        prepare(Path(folder), ["minilm", *(["xlmr"] if "xlmr" in parts else [])])
        if "minilm" in parts:
            speed(report, "all-MiniLM-L6-v2 fp32", base, asked.rounds, 1.8)
            speed(report, "all-MiniLM-L6-v2 bf16", base._replace(precision="bf16"), asked.rounds, 1.3)
        if "xlmr" in parts:
            speed(report, "XLM-R, e5-small's shape, fp32", base._replace(model="xlmr"), asked.rounds, None)
        if "cached" in parts:
            work = base._replace(batch=512, steps=1, warm=0, chunk=2048)
            kept = speed(report, "batch 512 in chunks, fp32", work, max(1, asked.rounds - 1), 1.5)
            peaks = [a["memory"] / b["memory"] for a, b in zip(kept["ours"], kept["peer"], strict=True)]
            report.ratio("batch 512 in chunks: peak memory, ours / peer", peaks, at_most=1.0)
            report.ratio("batch 512 in chunks: peak memory, ours, GB", [each["memory"] for each in kept["ours"]])
        if "loss" in parts:
            work = base._replace(batch=8, steps=200, warm=0, length=48)
            curves = [measure(side, work)["losses"] for side in ("peer", "ours")]
            gap = max(abs(a - b) for a, b in zip(*curves, strict=True))
            report.ratio("200 steps fp32: largest gap between the losses", [gap], at_most=1e-3)
            report.ratio("200 steps fp32: mean loss", [sum(curves[0]) / len(curves[0])])
    raise SystemExit(0 if report.end() else 1)


def prepare(folder: Path, models: list[str]) -> None:
    """Write the model folders and data/pair.parquet into ``folder``, in a process that ends (its memory with it)."""
    code = f"from bench.train_sides import prepare; prepare({str(folder)!r}, {models!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
