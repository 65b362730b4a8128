"""Batches whose calls fail, whose process is killed between any two steps, or who share with another process."""

from __future__ import annotations

import os
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graded.errors import DataError, ResumeError
from graded.llm import batch_api
from graded.llm.ledger import spent
from graded.stages import grade
from tests.llm import batching, buying
from tests.standin import Plan, StandIn


@pytest.mark.parametrize("route", ["POST files", "POST batches", "GET batches", "GET files"])
@pytest.mark.parametrize("fault", ["torn", "error", "rate"])
def test_a_call_that_fails_once_costs_nothing(folder: Path, server: StandIn, route: str, fault: str) -> None:
    batching.set_up(folder, server, pairs=20)
    server.once[route] = deque([fault])
    grade.main()
    assert len(server.batches.batches) == 1
    assert server.counts.billed.total() == 20
    assert (spent(folder).reserved, batching.under_way()) == (0, 0)


STEPS = ["upload", "create", "retrieve", "download", "end"]
#: Between these two a batch can be bought twice, or an answer lost; the other moments take `make test-all`.
KEEN = [("create", True), ("end", False)]


@pytest.mark.parametrize(
    ("step", "after"),
    [
        pytest.param(step, after, marks=[] if (step, after) in KEEN else [pytest.mark.slow])
        for step in STEPS
        for after in (False, True)
    ],
)
def test_a_crash_before_or_after_any_step_buys_nothing_twice(
    folder: Path, server: StandIn, step: str, after: bool
) -> None:
    """The process is killed with -9 right before or right after a step of its first batch; the next run goes on."""
    batching.set_up(folder, server, pairs=20, requests=10)
    process = os.fork()
    if process == 0:
        kill_at(step, after)
        try:
            grade.main()
        finally:
            os._exit(1)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    grade.main()
    assert len(server.batches.batches) == 2
    assert server.counts.billed.total() == len(server.counts.billed) == 20
    assert (spent(folder).reserved, spent(folder).lost, batching.under_way()) == (0, 0, 0)
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert b"PAR1" in buying.result(folder)


def test_what_a_killed_process_had_taken_in_counts_once(folder: Path, server: StandIn) -> None:
    """Killed when all that a batch lost was written and the batch was not let go."""
    batching.set_up(folder, server, pairs=20)
    server.batches.plans = deque([Plan(no_output=True)])
    process = os.fork()
    if process == 0:
        kill_at("end", after=False)
        try:
            grade.main()
        finally:
            os._exit(1)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    assert len(batching.lost(folder)) == 20
    grade.main()
    assert len(batching.lost(folder)) == 20
    assert (server.counts.billed.total(), spent(folder).reserved, batching.under_way()) == (40, 0, 0)


def kill_at(step: str, after: bool) -> None:
    """Make this process kill itself at ``step`` of its first batch."""
    from graded.llm.batch_intent import Folder

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if step == "end":
        end = Folder.end

        def ending(self: Folder) -> None:
            if after:
                end(self)
            die()

        Folder.end = ending  # type: ignore[method-assign]
        return
    call = getattr(batch_api.Api, step)

    async def calling(self: Any, *arguments: Any) -> Any:
        if after:
            await call(self, *arguments)
        die()

    setattr(batch_api.Api, step, calling)


def test_two_processes_share_their_batches(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, pairs=100, requests=20)
    server.batches.plan = Plan(("validating", "in_progress", "in_progress", "in_progress", "completed"))
    processes = [buying.start(folder) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(server.batches.batches) == 5
    assert server.counts.billed.total() == len(server.counts.billed) == 100
    assert spent(folder).reserved == 0


def test_what_a_dead_planner_left_is_removed(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    left = Path(".ledger/batches/.0123.tmp")
    left.mkdir(parents=True)
    (left / "input.jsonl").write_text("{}")
    grade.main()
    assert not list(Path(".ledger/batches").iterdir())


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_leaves_the_batches_to_go_on(folder: Path, server: StandIn, number: signal.Signals) -> None:
    batching.set_up(folder, server, poll=0.2)
    server.batches.plan = Plan(("validating", *["in_progress"] * 1000))
    process = buying.start(folder)
    assert process.stdout is not None
    assert any("submitted" in line for line in process.stdout)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"stopped by {number.name}; the batches go on" in said
    assert len(said.strip().splitlines()) == 1
    server.batches.batches["batch_000001"].plan = Plan()
    server.batches.batches["batch_000001"].step = 0
    grade.main()
    assert (len(server.batches.batches), server.counts.billed.total()) == (1, batching.PAIRS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_inside_a_call_is_not_lost(
    folder: Path, server: StandIn, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client library tries a call again after any exception, also after one that a signal's handler raised."""
    batching.set_up(folder, server)
    server.batches.plan = Plan(("validating", *["in_progress"] * 20, "completed"))
    retrieve, calls = batch_api.Api.retrieve, 0

    async def retrieving(self: batch_api.Api, batch_id: str) -> Any:
        nonlocal calls
        calls += 1
        with suppress(Exception):
            if calls == 3:
                os.kill(os.getpid(), number)
        return await retrieve(self, batch_id)

    monkeypatch.setattr(batch_api.Api, "retrieve", retrieving)
    with pytest.raises(ResumeError, match=f"stopped by {number.name}; the batches go on"):
        grade.main()
    assert calls == 3
    grade.main()
    assert (len(server.batches.batches), server.counts.billed.total()) == (1, batching.PAIRS)


@pytest.mark.parametrize("kept", [0, 30])
def test_a_request_list_that_was_cut_off_is_damage_and_never_answered(folder: Path, server: StandIn, kept: int) -> None:
    """An empty list has no request that is missing; the batch must not pass for one that is answered."""
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    (listed,) = Path(".ledger/batches").glob("*/requests.jsonl")
    whole = listed.read_bytes()
    listed.write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
    for _ in range(2):
        with pytest.raises(DataError, match=rf"requests.jsonl is damaged \({kept} lines for 60 requests\).*--give-up"):
            grade.main()
    assert len(server.batches.batches) == 1
    assert spent(folder).reserved > 0
    listed.write_bytes(whole)
    batching.params(server)
    grade.main()
    assert (server.counts.billed.total(), spent(folder).reserved) == (batching.PAIRS, 0)


def test_all_that_a_batch_needs_is_synced_before_anything_is_sent(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    batching.set_up(folder, server, pairs=5)
    synced, fsync, upload = [], os.fsync, batch_api.Api.upload

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    async def sending(self: Any, *arguments: Any) -> str:
        before.extend(synced)
        return await upload(self, *arguments)

    before: list[str] = []
    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(batch_api.Api, "upload", sending)
    grade.main()
    for name in ("requests.jsonl", "input.jsonl", "intent.json"):
        assert any(name in path for path in before), name
