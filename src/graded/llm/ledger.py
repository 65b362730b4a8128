"""The ledger of paid replies: bought once, found by key, shared by all processes of this clone and by the team.

Stages take from it what their inputs ask for (a pure function of those inputs and the ledger); ``buy`` adds to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graded.formats import table
from graded.formats.atomic import write_json
from graded.llm.keys import Keys, pack
from graded.llm.lines import decode, reply_key
from graded.llm.state import State
from graded.llm.store import Store

#: Notes of how stages last ran.
RUNS = Path(".ledger/runs")


class Ledger:
    """The ledger of the clone at ``root`` (default: DVC's main repository, else here)."""

    def __init__(self, root: Path | None = None) -> None:
        self.store = Store(root)
        self.state = State(self.store)
        self.state.refresh()

    def missing(self, keys: Keys) -> NDArray[np.bool_]:
        """Return for each of ``keys`` whether its reply is not here."""
        return ~self.state.known.mask(keys)

    def lines(self) -> Iterator[bytes]:
        """Yield every whole line: live files first, then segments, so that a file sealed meanwhile is not missed."""
        for writer, path in self.store.writers().items():
            if writer not in self.state.sealed:
                yield from self.store.read_live(path)[0]
        for path in self.store.segments().values():
            segment = self.store.read_segment(path)
            if segment is not None:
                yield from segment[1]

    def replies(self, wanted: Keys) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield ``(position in wanted, record)`` for the replies to ``wanted``, sorted keys without repeats.

        Where a key was bought twice (by two team-mates), the earliest reply is the one that counts, whatever the
        order of the files: a better one is yielded again, and the last that is yielded for a position holds.
        """
        best_at = np.full(len(wanted), np.iinfo(np.int64).max, dtype=np.int64)
        best_sum = np.full(len(wanted), np.iinfo(np.int64).max, dtype=np.int64)
        lines = self.lines()
        while chunk := list(islice(lines, 20_000)):
            keyed = [(key, line) for line in chunk if (key := reply_key(line)) is not None]
            if not keyed or not len(wanted):
                continue
            keys = pack(key for key, _ in keyed)
            at = np.searchsorted(wanted, keys)
            at[at == len(wanted)] = 0
            for index in np.flatnonzero(wanted[at] == keys):
                position = int(at[index])
                fields = decode(keyed[index][1])
                order = (fields["at"], int(fields["sum"], 16))
                if order < (best_at[position], best_sum[position]):
                    best_at[position], best_sum[position] = order
                    yield position, fields


@dataclass(frozen=True, slots=True)
class Run:
    """How one stage last ran: replies it took from the ledger, those it bought, their dollars; the rows it wrote.

    What other processes bought meanwhile it took from the ledger.
    """

    stage: str
    reused: int
    bought: int
    dollars: float
    rows: int


def note_run(run: Run) -> None:
    """Keep ``run`` in this folder, a temporary experiment's in its own: it speaks of the data/ that is here.

    It is no output of the stage, whose files depend on its inputs alone.
    """
    write_json(RUNS / f"{run.stage}.json", asdict(run))


def last_run(stage: str) -> Run | None:
    """Return how ``stage`` (query, grade or probe) last ran in this folder; None where it has not."""
    path = RUNS / f"{stage}.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return Run(**{"rows": values["reused"] + values["bought"]} | values)


def in_use() -> list[Run]:
    """Return for query and grade the replies in data/ that they left, and what those cost when the stage last ran here.

    A note of another run (the stage's output has since come from DVC's cache) says nothing of them: all are reused.
    """
    found = []
    for stage in ("query", "grade"):
        files = sorted(Path().glob(f"data/{stage}/**/*.parquet"))
        rows, note = sum(map(table.count_rows, files)), last_run(stage)
        if note is not None and (not files or note.rows == rows):
            found.append(note)
        elif files:
            found.append(Run(stage, rows, 0, 0.0, rows))
    return found


def spent(root: Path | None = None) -> State:
    """Return what this clone has spent, ever, by its own ledger (a pulled snapshot was paid elsewhere)."""
    return Ledger(root).state
