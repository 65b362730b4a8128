"""``python -m tests.standin --port 8123 --latency 0.2 --faults rate=0.02,torn=0.01``: the stand-in as a process."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import subprocess
import sys
from pathlib import Path

from tests.standin import Faults, StandIn, answer, table
from tests.standin.chat import Answer


def main() -> None:
    """Serve until killed; the first line of output is the base_url."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--faults", default="", help="share of each fault, such as rate=0.02,torn=0.01,refused=0.01")
    parser.add_argument("--seed", type=int, default=0, help="which requests the faults meet")
    parser.add_argument("--rate", type=float, help="requests a second before 429")
    parser.add_argument("--table", type=Path, help='JSONL of {"query", "passage", "grade"}; pairs not in it get 0')
    parser.add_argument("--background", action="store_true", help="return once it serves")
    options = parser.parse_args()
    if options.background:
        raise SystemExit(start([one for one in sys.argv[1:] if one != "--background"]))
    chosen: Answer = answer
    if options.table:
        rows = [json.loads(line) for line in options.table.read_text(encoding="utf-8").splitlines()]
        chosen = table({(row["query"], row["passage"]): row["grade"] for row in rows})
    server = StandIn(
        chosen,
        latency=options.latency,
        faults=Faults.parse(options.faults, options.seed),
        rate=options.rate,
        port=options.port,
    )
    try:
        asyncio.run(server.serve(lambda: print(server.base_url, flush=True)))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"port {options.port} is taken; end what holds it, or take another here and in the params", flush=True)
        raise SystemExit(1) from None


def start(arguments: list[str]) -> int:
    """Start a stand-in that outlives this process; say where it is, or why it is not, and return the exit code."""
    command = [sys.executable, "-m", "tests.standin", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if not said.startswith("http"):
        print(f"stand-in: {said or 'it did not start'}", file=sys.stderr)
        return 1
    print(f"stand-in: {said}; to end it: kill {process.pid}")
    return 0


if __name__ == "__main__":
    main()
