"""What this clone has spent, kept apart from the replies: neither damage nor a deleted segment frees a dollar of a cap.

    .ledger/money/<segment's sha256>.json    {"writer": [dollars paid, dollars possibly paid], ...}

Written when a segment is; its dollars count as long as the record is there, whatever becomes of the segment.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from graded.formats.atomic import write_json
from graded.llm.lines import decode, whole


class Money(NamedTuple):
    """Dollars of one writer: ``paid`` by replies, ``lost`` to requests that may have been billed without a reply."""

    paid: float
    lost: float


def keep(folder: Path, segment: str, writers: Mapping[str, Iterable[float]]) -> None:
    """Make the dollars of ``segment`` (its SHA-256) durable; those of a segment without writers are no one's."""
    write_json(folder / f"{segment}.json", {name: list(money) for name, money in writers.items()})


def kept(folder: Path, seen: Collection[str] = ()) -> dict[str, dict[str, Money]]:
    """Return the writers' dollars by segment, without the segments ``seen`` and without damaged records."""
    found = {path.stem: read(path) for path in sorted(folder.glob("[!.]*.json")) if path.stem not in seen}
    return {segment: writers for segment, writers in found.items() if writers is not None}


def read(path: Path) -> dict[str, Money] | None:
    """Return one record; None where it is not there, or damaged."""
    try:
        return {name: Money(float(paid), float(lost)) for name, (paid, lost) in json.loads(path.read_bytes()).items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def head_of(lines: Iterable[bytes]) -> dict[str, Money] | None:
    """Return the writers that a segment's first line names; None where that line is damaged."""
    line = next(iter(lines), b"")
    fields = decode(line) if whole(line) else {}
    if fields.get("kind") != "segment":
        return None
    return {name: Money(*money) for name, money in fields["writers"].items()}


def counted(lines: Iterable[bytes]) -> Money:
    """Return the dollars of a segment's whole records: what is known where all else is damaged."""
    paid = lost = 0.0
    for fields in map(decode, lines):
        paid += fields["usd"] if fields["kind"] == "reply" else 0.0
        lost += fields["usd"] if fields["kind"] == "lost" else 0.0
    return Money(paid, lost)
