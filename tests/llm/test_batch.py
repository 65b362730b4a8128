"""Batches against a real server: every status, lost files, repeated lines, and a crash between any two steps."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graded.cli.batches import batches
from graded.errors import BudgetError, ParamError, ResumeError, ServiceError
from graded.llm import batch_api, batch_plan
from graded.llm.batch_intent import Pending
from graded.llm.ledger import Ledger, spent
from graded.llm.lines import decode
from graded.stages import grade
from tests import planted
from tests.llm import buying
from tests.standin import Faults, Plan, StandIn
from tests.workspace import write_params

PAIRS = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "GRADED_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADED_BUDGET_USD", "1000")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr(batch_api, "SETTLE", 0.01)
    return tmp_path


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


def set_up(folder: Path, server: StandIn, *, mode: str = "batch", pairs: int = PAIRS, **more: Any) -> None:
    buying.make(folder, server, pairs=pairs)
    params(server, mode, **more)


def params(server: StandIn, mode: str = "batch", annotators: Any = None, **batch: Any) -> None:
    section = {"annotators": annotators or {"a": buying.judge(server)}, "mode": mode, "batch": {"poll": 0.01, **batch}}
    write_params(Path("."), languages=["fi"], annotators=list(section["annotators"]), grade=section)


def test_a_key_that_a_batch_repeats_is_written_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", planted.SECRETS["OPENAI_API_KEY"])
    with StandIn(lambda _: f"[2] {planted.SECRETS['OPENAI_API_KEY']}") as repeating:
        set_up(folder, repeating, pairs=5)
        grade.main()
        assert repeating.counts.kinds["batch ok"] == 5
    texts = [fields["reply"]["text"] for line in Ledger(folder).lines() if (fields := decode(line))["kind"] == "reply"]
    assert texts == ["[2] ***"] * 5
    assert planted.found(folder) == []


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


def test_a_batch_gives_the_grades_that_one_by_one_gives_at_half_the_price(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    grade.main()
    assert server.counts.billed.total() == len(server.counts.billed) == PAIRS
    assert set(server.counts.kinds) == {"batch ok"}
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert (spent(folder).reserved, spent(folder).lost, under_way()) == (0, 0, 0)
    batched = buying.result(folder)
    grade.main()
    assert server.counts.requests.total() == PAIRS
    assert batched == online(folder, server)


def test_files_are_split_at_the_limits_and_come_back_in_any_order(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(folder, server, requests=25)
    server.batches.plan = Plan(repeated=5)
    grade.main()
    sizes = [batch.fields["request_counts"]["total"] for batch in server.batches.batches.values()]
    assert sizes == [25, 25, 10]
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    monkeypatch.setattr(batch_plan, "BYTES", 20_000)
    params(server, annotators={"a": buying.judge(server, seed=1)})
    grade.main()
    files = [fields["bytes"] for fields, _ in server.batches.files.values() if fields["purpose"] == "batch"][3:]
    assert len(files) > 3
    assert max(files) <= 20_000


def test_an_expired_batch_keeps_what_it_has_and_the_rest_is_asked_again(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    server.batches.plans = deque([Plan(("in_progress", "expired"), done=0.5)])
    grade.main()
    sizes = [batch.fields["request_counts"]["total"] for batch in server.batches.batches.values()]
    assert sizes == [PAIRS, PAIRS // 2]
    assert server.counts.billed.total() == len(server.counts.billed) == PAIRS
    assert not lost(folder)


def test_a_cancelled_batch_keeps_what_it_has_and_the_next_run_asks_the_rest(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    server.batches.plans = deque([Plan(("in_progress", "cancelling", "cancelled"), done=0.25)])
    with pytest.raises(ResumeError, match="was cancelled; its 15 replies are kept"):
        grade.main()
    assert len(server.counts.billed) == PAIRS // 4
    grade.main()
    assert server.counts.billed.total() == len(server.counts.billed) == PAIRS


def test_a_batch_that_completed_without_files_is_possibly_paid_and_asked_again(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    server.batches.plans = deque([Plan(no_output=True)])
    grade.main()
    assert set(server.counts.billed.values()) == {2}
    assert lost(folder) == ["no line in the batch's files"] * PAIRS
    assert spent(folder).paid + spent(folder).lost >= buying.dollars(server) / 2


def test_a_batch_without_answers_for_ever_is_given_up(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    server.batches.plan = Plan(no_output=True)
    with pytest.raises(ServiceError, match="60 replies could not be had by batch in 3 tries"):
        grade.main()
    assert len(server.batches.batches) == 3


def test_a_failed_batch_says_why_and_frees_its_money(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    server.batches.plans = deque([Plan(("validating", "failed"), errors=("Line 3 is not valid",))])
    with pytest.raises(ServiceError, match="failed and nothing of it was run: invalid: Line 3 is not valid"):
        grade.main()
    assert spent(folder).reserved == 0
    grade.main()
    assert server.counts.billed.total() == PAIRS


def test_too_many_enqueued_tokens_make_smaller_batches(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graded.llm.batch_drive.SMALLEST", 10)
    set_up(folder, server)
    server.batches.plans = deque([Plan(("validating", "failed"), errors=("Enqueued token limit reached",))])
    grade.main()
    assert [len(batch.lines) for batch in server.batches.batches.values()] == [60, 30, 30]
    assert server.counts.billed.total() == PAIRS


def test_outcomes_and_failed_lines_are_told_apart(folder: Path, server: StandIn) -> None:
    set_up(folder, server, pairs=200)
    terminal = {"filtered": 0.1, "filtered_reply": 0.1, "refused": 0.1, "truncated": 0.1, "nonsense": 0.1}
    server.faults = Faults({**terminal, "error": 0.1})
    grade.main()
    batched = buying.result(folder)
    assert server.counts.kinds["batch error"] > 0
    assert len(server.batches.batches) > 1
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert not lost(folder)
    server.faults = Faults(terminal)
    assert batched == online(folder, server)


def test_leaving_and_coming_back(folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(folder, server, wait=False)
    with pytest.raises(ResumeError, match=r"60 requests are submitted in 1 batches .* run the same command again"):
        grade.main()
    assert spent(folder).reserved > 0
    monkeypatch.delenv("GRADED_BUDGET_USD")  # what was submitted was allowed when it was
    runs = 0
    while not Path("data/grade/a/fi.parquet").exists():
        runs += 1
        try:
            grade.main()
        except ResumeError:
            continue
    assert 1 <= runs <= 5
    assert len(server.batches.batches) == 1
    assert spent(folder).reserved == 0


def test_without_a_budget_nothing_is_submitted_and_the_cap_holds(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(folder, server)
    monkeypatch.delenv("GRADED_BUDGET_USD")
    with pytest.raises(BudgetError, match="60 replies are missing"):
        grade.main()
    assert not server.batches.files
    monkeypatch.setenv("GRADED_BUDGET_USD", "0.02")
    with pytest.raises(BudgetError, match=r"the cap of \$0.02 is reached"):
        grade.main()
    assert 0 < buying.dollars(server) / 2 <= 0.02
    monkeypatch.setenv("GRADED_BUDGET_USD", "10")
    grade.main()
    assert server.counts.billed.total() == PAIRS


def test_a_batch_is_only_for_who_has_one(folder: Path, server: StandIn) -> None:
    own = {"a": {**buying.judge(server), "family": "vllm", "model": "google/gemma-3-27b-it"}}
    set_up(folder, server, annotators=own)
    with pytest.raises(ParamError, match=r"grade.mode: received 'batch'.*family vllm.*legal: online, auto"):
        grade.main()
    params(server, "auto", annotators=own)
    grade.main()
    assert server.counts.kinds == {"ok": PAIRS}


def test_auto_makes_batches_of_many_and_asks_few_one_by_one(folder: Path, server: StandIn) -> None:
    set_up(folder, server, mode="auto", at_least=50)
    server.batches.plans = deque([Plan(("expired",), done=0.5)])
    grade.main()
    assert server.counts.kinds == {"batch ok": 30, "ok": 30}
    assert server.counts.billed.total() == len(server.counts.billed) == PAIRS


def test_azure_has_paths_and_deployments_of_its_own(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.base_url.removesuffix("/v1"))
    judge = {"model": buying.MODEL, "family": "azure", "deployment": "one", "batch_deployment": "many"}
    set_up(folder, server, annotators={"a": {**judge, "max_tokens": 8}})
    grade.main()
    _, content = server.batches.files["file-000001"]
    line = json.loads(content.splitlines()[0])
    assert (line["url"], line["body"]["model"]) == ("/chat/completions", "many")
    assert server.counts.billed.total() == PAIRS


@pytest.mark.parametrize("route", ["POST files", "POST batches", "GET batches", "GET files"])
@pytest.mark.parametrize("fault", ["torn", "error", "rate"])
def test_a_call_that_fails_once_costs_nothing(folder: Path, server: StandIn, route: str, fault: str) -> None:
    set_up(folder, server, pairs=20)
    server.once[route] = deque([fault])
    grade.main()
    assert len(server.batches.batches) == 1
    assert server.counts.billed.total() == 20
    assert (spent(folder).reserved, under_way()) == (0, 0)


STEPS = ["upload", "create", "retrieve", "download", "end"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_before_or_after_any_step_buys_nothing_twice(
    folder: Path, server: StandIn, step: str, after: bool
) -> None:
    """The process is killed with -9 right before or right after a step; the next run goes on."""
    set_up(folder, server, pairs=20)
    process = os.fork()
    if process == 0:
        kill_at(step, after)
        try:
            grade.main()
        finally:
            os._exit(1)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    grade.main()
    assert len(server.batches.batches) == 1
    assert server.counts.billed.total() == len(server.counts.billed) == 20
    assert (spent(folder).reserved, spent(folder).lost, under_way()) == (0, 0, 0)
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert b"PAR1" in buying.result(folder)


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
    set_up(folder, server, pairs=100, requests=20)
    server.batches.plan = Plan(("validating", "in_progress", "in_progress", "in_progress", "completed"))
    processes = [buying.start(folder) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(server.batches.batches) == 5
    assert server.counts.billed.total() == len(server.counts.billed) == 100
    assert spent(folder).reserved == 0


def test_an_online_buyer_leaves_the_requests_of_a_batch_alone(folder: Path, server: StandIn) -> None:
    set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    params(server, "online", wait=True)
    grade.main()
    assert server.counts.kinds == {"batch ok": PAIRS}


def test_reservations_of_batches_follow_what_the_ledger_has_measured(folder: Path, server: StandIn) -> None:
    set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    by_bytes = spent(folder).reserved
    params(server, "online", wait=True)
    grade.main()
    paid = spent(folder).paid
    params(server, annotators={"a": buying.judge(server, seed=3)}, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    assert paid < spent(folder).reserved < 1.6 * paid < by_bytes


def test_graded_batches_takes_in_what_no_stage_asks_for_any_more(
    folder: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(folder, server, wait=False)
    server.batches.plan = Plan(("validating", *["in_progress"] * 3, "completed"))
    with pytest.raises(ResumeError):
        grade.main()
    prompt = Path("prompts/grade.txt")
    prompt.write_text(prompt.read_text() + "\nBe strict.\n")
    for _ in range(3):
        batches()
    said = capsys.readouterr().out
    assert "60 requests, at most $0.10: in_progress, 0 replies" in said
    assert "completed, 60 replies of 60 requests" in said
    assert "0 batches under way, $0.00 reserved" in said
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)


def test_what_a_dead_planner_left_is_removed(folder: Path, server: StandIn) -> None:
    set_up(folder, server)
    left = Path(".ledger/batches/.0123.tmp")
    left.mkdir(parents=True)
    (left / "input.jsonl").write_text("{}")
    grade.main()
    assert not list(Path(".ledger/batches").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_batches_to_go_on(folder: Path, server: StandIn, number: signal.Signals) -> None:
    set_up(folder, server, poll=0.2)
    server.batches.plan = Plan(("validating", *["in_progress"] * 1000))
    process = buying.start(folder)
    assert process.stdout is not None
    assert "submitted" in process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 4
    assert f"stopped by {number.name}; the batches go on" in said
    assert len(said.strip().splitlines()) == 1
    server.batches.batches["batch_000001"].plan = Plan()
    server.batches.batches["batch_000001"].step = 0
    grade.main()
    assert (len(server.batches.batches), server.counts.billed.total()) == (1, PAIRS)
