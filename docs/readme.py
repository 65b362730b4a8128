"""README.md's table: what `graded summary` prints of metrics/evaluate.json. `python -m docs.readme` writes it anew."""

from __future__ import annotations

import io
import json
import re

from rich.console import Console

from docs.reference import ROOT
from graded.cli.summary import table
from graded.cli.terminal import WIDTH

README = ROOT / "README.md"
#: From the table's title to its last row or note.
PRINTED = re.compile(r"(?<=```text\n)sample: base .*?(?=\n\n?tau  )", re.DOTALL)


def printed() -> str:
    """Return the sample's table from the committed metrics."""
    record = json.loads((ROOT / "metrics/evaluate.json").read_text(encoding="utf-8"))
    out = io.StringIO()
    Console(width=WIDTH, file=out, highlight=False).print(table("sample", record["sample"], directions=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def written() -> str:
    """Return README.md with the table as it should be."""
    return PRINTED.sub(lambda _: printed(), README.read_text(encoding="utf-8"), count=1)


if __name__ == "__main__":
    README.write_text(written(), encoding="utf-8")
    print(f"{README.name} follows metrics/evaluate.json")
