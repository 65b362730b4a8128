"""The tables of docs/scale.md are what `graded scale` prints: ``python -m tests.scale_tables [--write]``.

Where prices, prompts, sweeps or scale.yaml change, the tables do; without ``--write`` a difference is an error.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOC = ROOT / "docs" / "scale.md"
#: The indented block that starts with the first table's head, up to the last table's foot.
TABLES = re.compile(r"^    part  .*?^    \* the first bottleneck[^\n]*\n", re.M | re.S)


def printed() -> str:
    """Return what `graded scale` prints, as an indented block without blanks at the ends of lines."""
    command = [sys.executable, "-c", "from graded.cli import main; main()", "scale"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return "".join(f"    {line}".rstrip() + "\n" for line in said.splitlines())


def main() -> None:
    """Compare, or write."""
    text = DOC.read_text(encoding="utf-8")
    assert TABLES.search(text), f"{DOC}: no tables"
    fresh = TABLES.sub(lambda _: printed(), text)
    if "--write" in sys.argv:
        DOC.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        raise SystemExit("docs/scale.md is not what graded scale prints; python -m tests.scale_tables --write")


if __name__ == "__main__":
    main()
