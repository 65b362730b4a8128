"""Damaged lines of a live file: told from a torn last one, never dropped without a trace."""

from __future__ import annotations

import sys
from pathlib import Path

from graded.formats.atomic import atomic
from graded.llm.lines import encode, entry, whole


def split(data: bytes) -> tuple[list[bytes], int, int]:
    """Return the whole lines of a live file, how many are damaged, and the byte behind the last; a torn one is none."""
    end = data.rfind(b"\n") + 1
    lines = [line + b"\n" for line in data[:end].split(b"\n")[:-1]]
    good = [line for line in lines if whole(line)]
    return good, len(lines) - len(good), end


def mended(path: Path, aside: Path) -> list[bytes]:
    """Return the whole lines of a live file; the original of one with damaged lines is kept in the folder ``aside``.

    Each damaged line may have been a reply: it counts as possibly paid, at the dearest record of the file.
    """
    data = path.read_bytes() if path.is_file() else b""
    good, bad, _ = split(data)
    if not bad:
        return good
    original = aside / f"{path.name}.damaged"
    with atomic(original) as temporary:
        temporary.write_bytes(data)
    most = max((entry(line).usd for line in good), default=0.0)
    text = f"{bad} damaged lines of {path} left out, possibly ${bad * most:,.4f}; the original is kept: {original}"
    print(f"graded: ledger: {text}", file=sys.stderr, flush=True)
    fields = {"key": "0" * 64, "kind": "lost", "usd": most, "stage": "", "lang": "", "family": "", "model": ""}
    return good + [encode({**fields, "why": "a damaged line"})] * bad
