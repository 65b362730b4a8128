"""Batches that cannot go on: no address or mode locks a stage for good, and what may be paid stays counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from graded.cli.batches import batches
from graded.errors import MissingError, ResumeError, ServiceError
from graded.llm.ledger import spent
from graded.stages import grade
from tests.llm import batching
from tests.standin import StandIn


@pytest.fixture
def wrong() -> Iterator[StandIn]:
    """An address that takes no batch."""
    with StandIn() as server:
        server.once["POST files"] = deque(["invalid"] * 9)
        yield server


@pytest.mark.parametrize("mode", ["batch", "online"])
def test_a_corrected_address_is_the_one_that_is_asked(folder: Path, server: StandIn, wrong: StandIn, mode: str) -> None:
    batching.set_up(folder, wrong)
    for _ in range(2):
        with pytest.raises(ServiceError, match=rf"the batch interface at {wrong.base_url} says: .*nothing was sent"):
            grade.main()
    assert spent(folder).reserved > 0
    batching.params(server, mode)
    grade.main()
    assert server.counts.kinds == {"batch ok" if mode == "batch" else "ok": batching.PAIRS}
    assert not wrong.batches.files
    assert (spent(folder).reserved, spent(folder).lost, batching.under_way()) == (0, 0, 0)


def test_where_there_is_no_batch_interface_another_mode_does(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.once["POST files"] = deque(["invalid"])
    with pytest.raises(ServiceError, match="another base_url or mode"):
        grade.main()
    batching.params(server, "online")
    grade.main()
    assert server.counts.kinds == {"ok": batching.PAIRS}


def test_the_command_lets_go_of_what_was_never_sent(
    folder: Path, wrong: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    batching.set_up(folder, wrong)
    with pytest.raises(ServiceError):
        grade.main()
    batches()
    assert "never sent, let go" in capsys.readouterr().out
    assert (spent(folder).reserved, batching.under_way()) == (0, 0)


@pytest.mark.parametrize("damage", [None, "requests.jsonl", "intent.json"])
def test_a_batch_that_is_given_up_stays_paid_for_at_worst(
    folder: Path, server: StandIn, damage: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    reserved = spent(folder).reserved
    server.batches.batches.clear()
    (path,) = Path(".ledger/batches").glob("[!.]*")
    if damage:
        (path / damage).write_text("")
    with pytest.raises(ServiceError, match="1 of 1 batches could not be taken further"):
        batches()
    assert f"graded batches --give-up {path.name}" in capsys.readouterr().out
    with pytest.raises(MissingError, match=rf"received 'b'.*legal: {path.name}"):
        batches(give_up=["b"])
    batches(give_up=[path.name])
    assert f"given up; it may cost ${reserved:.2f}, which counts as possibly paid" in capsys.readouterr().out
    assert spent(folder).lost == pytest.approx(reserved)
    assert (spent(folder).reserved, batching.under_way()) == (0, 0)
    batching.params(server)
    grade.main()
    assert spent(folder).lost == pytest.approx(reserved)
    assert server.counts.billed.total() == batching.PAIRS
