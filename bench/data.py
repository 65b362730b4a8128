"""Stages sample, balance and pair at size, on generated tables: seconds, peak memory, growth from 1M to 10M rows.

    python -m bench.data [--keep]        six languages; as many graded pairs as passages: 1M, 3M, 10M

Each stage runs as its own process, as `dvc repro` runs it, start-up included. `pair` is the join of graded pairs with
the texts of queries and passages; its passages are those of `sample`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from bench.harness import ROOT, Report
from graded.formats import table

LANGUAGES = ("fi", "ar", "ja", "ru", "es", "en")
SIZES = (1_000_000, 3_000_000, 10_000_000)
STAGES = ("sample", "balance", "pair")
#: Characters of a generated passage, incompressible; pairs a query.
LENGTH, DEPTH = 320, 5


def generate(folder: Path, size: int) -> None:
    """Write what the stages read: ``size`` passages and ``size`` graded pairs over all languages."""
    each = size // len(LANGUAGES)
    shared = {"tau": 2, "languages": list(LANGUAGES), "annotator": "a", "annotators": ["a"], "seed": 13}
    sections = {"sample": {"size": each // DEPTH}, "balance": {}, "pair": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(shared | sections), encoding="utf-8")
    (folder / "data/benchmark").mkdir(parents=True)
    text = " || ".join(f"md5(i::VARCHAR || '{part}')" for part in range(LENGTH // 32))
    with table.connect(memory_gb=4) as connection:
        for lang in LANGUAGES:
            corpus = f"SELECT '{lang}' || i AS doc_id, '' AS title, {text} AS text FROM range({each}) t(i)"
            table.copy_query(connection, corpus, folder / f"data/corpus/{lang}.parquet")


def grades(folder: Path) -> None:
    """Write a query for each sampled passage, and grades of ``DEPTH`` passages each, most of them 0."""
    with table.connect(memory_gb=4) as connection:
        for lang in LANGUAGES:
            sample = f"read_parquet('{folder}/data/sample/{lang}.parquet')"
            connection.execute(f"CREATE OR REPLACE TABLE s AS SELECT doc_id, row_number() OVER () AS n FROM {sample}")
            count = table.count_rows(folder / f"data/sample/{lang}.parquet")
            queries = (
                "SELECT doc_id || '-q' AS query_id, doc_id, 'question' AS style, md5(doc_id) AS text, 'ok' AS outcome"
                " FROM s ORDER BY n"
            )
            table.copy_query(connection, queries, folder / f"data/query/{lang}.parquet")
            graded = (
                "SELECT p.doc_id || '-q' AS query_id, o.doc_id, p.rank::INT AS rank,"
                " (hash(p.n, p.rank) % 10 // 6 * (1 + hash(p.n) % 3))::TINYINT AS grade, NULL::DOUBLE AS expected,"
                " NULL::DOUBLE AS outside, 'ok' AS outcome"
                f" FROM (SELECT doc_id, n, rank, (n * 7 + rank * 31) % {count} + 1 AS other"
                f" FROM s CROSS JOIN range(1, {DEPTH + 1}) d(rank)) p JOIN s o ON o.n = p.other"
                " ORDER BY query_id, rank"
            )
            table.copy_query(connection, graded, folder / f"data/grade/a/{lang}.parquet")


def alone(call: str) -> None:
    """Run ``call`` in a process of its own: Linux adds what this one has held to the peaks of its children."""
    subprocess.run([sys.executable, "-c", f"from bench.data import *; {call}"], cwd=ROOT, check=True)


def measure(folder: Path, stage: str) -> tuple[float, float, float]:
    """Run one stage as a process; return its seconds, CPU seconds and peak memory in GB."""
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", f"graded.stages.{stage}"], cwd=folder, stdout=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{stage} failed")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main() -> None:
    """Measure all sizes, three rounds; one at the largest."""
    report = Report("data")
    seconds: dict[tuple[str, int], list[float]] = {}
    cpu: dict[tuple[str, int], list[float]] = {}
    memory: dict[tuple[str, int], list[float]] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            alone(f"generate(Path({name!r}), {size})")
            for number in range(1 if size == SIZES[-1] else 3):
                for stage in STAGES:
                    if stage == "balance" and number == 0:
                        alone(f"grades(Path({name!r}))")
                    took, spent, peak = measure(folder, stage)
                    seconds.setdefault((stage, size), []).append(took)
                    cpu.setdefault((stage, size), []).append(spent)
                    memory.setdefault((stage, size), []).append(peak)
                    print(
                        f"  {size:,} {stage}: {took:.2f} s ({spent:.2f} CPU), {peak:.2f} GB",
                        file=sys.stderr,
                        flush=True,
                    )
    for stage in STAGES:
        for size in SIZES:
            bar = (stage, size) == ("balance", 3_000_000)
            label = f"{stage} {size // 1_000_000}M"
            report.ratio(f"{label}, seconds", seconds[stage, size], at_most=6 if bar else None)
            report.ratio(f"{label}, CPU seconds", cpu[stage, size])
            report.ratio(f"{label}, peak GB", memory[stage, size], at_most=1 if bar else None)
        small, large = (min(cpu[stage, size]) for size in (SIZES[0], SIZES[-1]))
        report.ratio(f"{stage}: CPU at 10M / CPU at 1M", [large / small], at_most=12)
    report.end()


if __name__ == "__main__":
    main()
