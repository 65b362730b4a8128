"""Stage grade by batch against the stand-in server, in the test's own process unless said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graded.llm.batch_intent import Pending
from graded.llm.ledger import Ledger
from graded.llm.lines import decode
from graded.stages import grade
from tests.llm import buying
from tests.standin import StandIn
from tests.workspace import write_params

PAIRS = 60


def set_up(folder: Path, server: StandIn, *, mode: str = "batch", pairs: int = PAIRS, **more: Any) -> None:
    buying.make(folder, server, pairs=pairs)
    params(server, mode, **more)


def params(server: StandIn, mode: str = "batch", annotators: Any = None, **batch: Any) -> None:
    section = {"annotators": annotators or {"a": buying.judge(server)}, "mode": mode, "batch": {"poll": 0.01, **batch}}
    write_params(Path("."), languages=["fi"], annotators=list(section["annotators"]), grade=section)


def online(folder: Path, server: StandIn) -> bytes:
    """Return the grades that one by one gives, in a ledger of its own."""
    keep = Path(".ledger")
    keep.rename("kept")
    params(server, "online")
    grade.main()
    found = buying.result(folder)
    for path in sorted(keep.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    keep.rmdir()
    Path("kept").rename(keep)
    return found


def lost(folder: Path) -> list[str]:
    return [fields["why"] for line in Ledger(folder).lines() if (fields := decode(line))["kind"] == "lost"]


def under_way() -> int:
    pending = Pending(Path(".ledger"))
    pending.refresh()
    return len(list(Path(".ledger/batches").glob("[!.]*")))
