"""What the ledger holds: counted and exported."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from graded.errors import ParamError, one_of
from graded.formats import table
from graded.formats.atomic import atomic
from graded.llm.keys import KEY, WIDTH
from graded.llm.ledger import Ledger
from graded.llm.lines import decode

COLUMNS = pa.schema(
    [("key", pa.string()), ("stage", pa.string()), ("language", pa.string()), ("family", pa.string()),
     ("model", pa.string()), ("at", pa.timestamp("ms", tz="UTC")), ("dollars", pa.float64()), ("text", pa.string()),
     ("finish_reason", pa.string()), ("refusal", pa.string()), ("prompt_tokens", pa.int64()),
     ("completion_tokens", pa.int64()), ("cached_tokens", pa.int64()), ("snapshot", pa.string()),
     ("system_fingerprint", pa.string()), ("logprobs", pa.string()), ("provenance", pa.string())]
)  # fmt: skip


class Group(NamedTuple):
    """One line of the census."""

    stage: str
    model: str
    language: str


@dataclass
class Count:
    """What one group holds; dollars as the replies' records say, wherever they were paid."""

    replies: int = 0
    dollars: float = 0.0
    prompt: int = 0
    completion: int = 0

    def add(self, other: Count) -> None:
        """Count ``other`` too."""
        self.replies += other.replies
        self.dollars += other.dollars
        self.prompt += other.prompt
        self.completion += other.completion


@dataclass
class Census:
    """``replies`` are different ones, ``twice`` those that another reply to the same request came before.

    ``lost`` are requests that may have been billed without a reply, of this clone and of the snapshot.
    """

    groups: dict[Group, Count] = field(default_factory=lambda: defaultdict(Count))
    replies: int = 0
    twice: int = 0
    lost: int = 0
    lost_dollars: float = 0.0

    def totals(self) -> list[tuple[Group, Count]]:
        """Return what each stage holds, then all of them; nothing where there is no group."""
        sums: dict[str, Count] = defaultdict(Count)
        for group, count in sorted(self.groups.items()):
            sums[group.stage].add(count)
        for count in list(sums.values()):
            sums["all"].add(count)
        return [(Group(stage, "total", ""), count) for stage, count in sums.items()]


def census(ledger: Ledger) -> Census:
    """Count every record."""
    found, keys = Census(), bytearray()
    for fields in map(decode, ledger.lines()):
        if fields["kind"] == "lost":
            found.lost += 1
            found.lost_dollars += fields["usd"]
        if fields["kind"] != "reply":
            continue
        keys += bytes.fromhex(fields["key"][: 2 * WIDTH])
        count = found.groups[Group(fields["stage"], f"{fields['family']}/{fields['model']}", fields["lang"])]
        count.replies += 1
        count.dollars += fields["usd"]
        prompt, completion, _ = fields["reply"].get("usage") or (0, 0, 0)
        count.prompt += prompt
        count.completion += completion
    found.replies = len(np.unique(np.frombuffer(bytes(keys), dtype=KEY)))
    found.twice = len(keys) // WIDTH - found.replies
    with ledger.store.lock():
        dead = {path.stem for path in ledger.store.dead()}
    ledger.state.refresh()  # what has died since it was counted may have taken its last replies in
    for writer in dead:
        held = ledger.state.held.get(writer, {})
        found.lost += len(held)
        found.lost_dollars += sum(held.values())
    return found


def export(ledger: Ledger, path: Path) -> int:
    """Write every reply to ``path``, Parquet or JSONL by its name; return how many.

    Raises:
        ParamError: the name ends in neither.
    """
    if path.suffix not in (".parquet", ".jsonl"):
        raise ParamError(f"export: {one_of(path.suffix or path.name, ['.parquet', '.jsonl'])}")
    replies = (fields for fields in map(decode, ledger.lines()) if fields["kind"] == "reply")
    if path.suffix == ".parquet":
        return table.write_rows(path, COLUMNS, map(_row, replies))
    count = 0
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        for fields in replies:
            file.write(json.dumps({name: value for name, value in fields.items() if name not in ("sum", "kind")},
                                  ensure_ascii=False) + "\n")  # fmt: skip
            count += 1
    return count


def _row(fields: dict[str, Any]) -> tuple[Any, ...]:
    reply = fields["reply"]
    logprobs = reply.get("logprobs")
    return (
        fields["key"], fields["stage"], fields["lang"], fields["family"], fields["model"], fields["at"], fields["usd"],
        _clean(reply["text"]), reply.get("finish_reason"), _clean(reply.get("refusal")),
        *(reply.get("usage") or (None, None, None)), reply.get("model"), reply.get("system_fingerprint"),
        None if logprobs is None else _clean(json.dumps(logprobs, ensure_ascii=False)), fields.get("provenance"),
    )  # fmt: skip


def _clean(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()
