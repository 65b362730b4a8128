"""What every benchmark shares: sides interleaved in one run, ratios (median, minimum, maximum), one JSON line last.

    report = Report("annotate")
    times = interleave({"ours": run_ours, "peer": run_peer}, rounds=5)
    report.ratio("ours / peer", [a / b for a, b in zip(times["ours"], times["peer"])], at_least=2.5)
    report.end()

A bar is held by the median. ``--keep`` on a benchmark's command line also writes the result to bench/results/.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


def interleave(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run the sides in turn, ``rounds`` times, starting with another one each round; return what each returned."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            value = sides[name]()
            found[name].append(value)
            print(f"  round {number + 1}/{rounds} {name}: {value:,.4g}", file=sys.stderr, flush=True)
    return found


def peak_memory() -> float:
    """Return the most that this process has held so far, GB.

    Not getrusage's figure: Linux counts there what the parent held when it started this process.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**20
    raise SystemExit("this benchmark reads peak memory from /proc/self/status, which Linux alone has")


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def commit() -> str:
    """Return the commit that is measured, with a ``+`` where the work tree differs from it."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


@dataclass
class Report:
    """Collects the figures of one benchmark; :meth:`end` prints them."""

    bench: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    def ratio(
        self, name: str, values: Sequence[float], *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        """Add a figure, one value a round: a ratio, or a rate or size whose name says its unit; with its bar."""
        median = statistics.median(values)
        held = (at_least is None or median >= at_least) and (at_most is None or median <= at_most)
        bar = {"at_least": at_least} if at_least is not None else {"at_most": at_most} if at_most is not None else None
        self.rows.append(
            {"name": name, "median": median, "min": min(values), "max": max(values), "bar": bar, "held": held}
        )

    def end(self) -> bool:
        """Print the table and the JSON line (kept in bench/results/ with ``--keep``); return whether all bars held."""
        width = max(len(row["name"]) for row in self.rows)
        print(f"{'':<{width}} {'median':>10} {'min':>10} {'max':>10}  bar")
        for row in self.rows:
            bar = "" if row["bar"] is None else " ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in row["bar"].items())
            mark = "" if row["bar"] is None else ("  held" if row["held"] else "  MISSED")
            print(f"{row['name']:<{width}} {row['median']:>10.4g} {row['min']:>10.4g} {row['max']:>10.4g}  {bar}{mark}")
        record = {
            "bench": self.bench,
            "machine": machine(),
            "ratios": {
                row["name"]: {key: round(float(row[key]), 4) for key in ("median", "min", "max")} for row in self.rows
            },
            "bars": {row["name"]: row["bar"] for row in self.rows if row["bar"] is not None},
            "held": all(row["held"] for row in self.rows),
        }
        if "--keep" in sys.argv:
            RESULTS.mkdir(parents=True, exist_ok=True)
            kept = {**record, "commit": commit()}
            (RESULTS / f"{self.bench}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(record), flush=True)
        return bool(record["held"])
