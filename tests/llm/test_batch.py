"""What a batch brings, at every status it can end in: lost files, repeated lines, failures told apart."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from graded.cli.batches import batches
from graded.errors import ResumeError, ServiceError
from graded.llm import batch_plan
from graded.llm.ledger import Ledger, spent
from graded.llm.lines import decode
from graded.stages import grade
from tests import planted
from tests.llm import batching, buying
from tests.standin import Faults, Plan, StandIn


def test_a_batch_gives_the_grades_that_one_by_one_gives_at_half_the_price(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    grade.main()
    assert server.counts.billed.total() == len(server.counts.billed) == batching.PAIRS
    assert set(server.counts.kinds) == {"batch ok"}
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert (spent(folder).reserved, spent(folder).lost, batching.under_way()) == (0, 0, 0)
    batched = buying.result(folder)
    grade.main()
    assert server.counts.requests.total() == batching.PAIRS
    assert batched == batching.online(folder, server)


def test_files_are_split_at_the_limits_and_come_back_in_any_order(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    batching.set_up(folder, server, requests=25)
    server.batches.plan = Plan(repeated=5)
    grade.main()
    sizes = [batch.fields["request_counts"]["total"] for batch in server.batches.batches.values()]
    assert sizes == [25, 25, 10]
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    monkeypatch.setattr(batch_plan, "BYTES", 20_000)
    batching.params(server, annotators={"a": buying.judge(server, seed=1)})
    grade.main()
    files = [fields["bytes"] for fields, _ in server.batches.files.values() if fields["purpose"] == "batch"][3:]
    assert len(files) > 3
    assert max(files) <= 20_000


def test_an_expired_batch_keeps_what_it_has_and_the_rest_is_asked_again(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.batches.plans = deque([Plan(("in_progress", "expired"), done=0.5)])
    grade.main()
    sizes = [batch.fields["request_counts"]["total"] for batch in server.batches.batches.values()]
    assert sizes == [batching.PAIRS, batching.PAIRS // 2]
    assert server.counts.billed.total() == len(server.counts.billed) == batching.PAIRS
    assert not batching.lost(folder)


def test_a_cancelled_batch_keeps_what_it_has_and_the_next_run_asks_the_rest(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.batches.plans = deque([Plan(("in_progress", "cancelling", "cancelled"), done=0.25)])
    with pytest.raises(ResumeError, match="was cancelled; its 15 replies are kept"):
        grade.main()
    assert len(server.counts.billed) == batching.PAIRS // 4
    grade.main()
    assert server.counts.billed.total() == len(server.counts.billed) == batching.PAIRS


def test_a_batch_that_completed_without_files_is_possibly_paid_and_asked_again(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.batches.plans = deque([Plan(no_output=True)])
    grade.main()
    assert set(server.counts.billed.values()) == {2}
    assert batching.lost(folder) == ["no line in the batch's files"] * batching.PAIRS
    assert spent(folder).paid + spent(folder).lost >= buying.dollars(server) / 2


def test_an_expired_batch_whose_output_is_gone_is_possibly_paid(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.batches.plans = deque([Plan(("in_progress", "expired"), done=0.5, no_output=True)])
    grade.main()
    assert server.counts.billed.total() == batching.PAIRS * 3 // 2
    assert batching.lost(folder) == ["no line in the batch's files"] * (batching.PAIRS // 2)
    assert spent(folder).paid + spent(folder).lost >= buying.dollars(server) / 2


def test_a_batch_without_answers_for_ever_is_given_up(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.batches.plan = Plan(no_output=True)
    with pytest.raises(ServiceError, match="60 replies could not be had by batch in 3 tries"):
        grade.main()
    assert len(server.batches.batches) == 3


def test_a_failed_batch_says_why_and_frees_its_money(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server)
    server.batches.plans = deque([Plan(("validating", "failed"), errors=("Line 3 is not valid",))])
    with pytest.raises(ServiceError, match="failed and nothing of it was run: invalid: Line 3 is not valid"):
        grade.main()
    assert spent(folder).reserved == 0
    grade.main()
    assert server.counts.billed.total() == batching.PAIRS


def test_too_many_enqueued_tokens_make_smaller_batches(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graded.llm.batch_drive.SMALLEST", 10)
    batching.set_up(folder, server)
    server.batches.plans = deque([Plan(("validating", "failed"), errors=("Enqueued token limit reached",))])
    grade.main()
    assert [len(batch.lines) for batch in server.batches.batches.values()] == [60, 30, 30]
    assert server.counts.billed.total() == batching.PAIRS


def test_outcomes_and_failed_lines_are_told_apart(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, pairs=200)
    terminal = {"filtered": 0.1, "filtered_reply": 0.1, "refused": 0.1, "truncated": 0.1, "nonsense": 0.1}
    server.faults = Faults({**terminal, "error": 0.1})
    grade.main()
    batched = buying.result(folder)
    assert server.counts.kinds["batch error"] > 0
    assert len(server.batches.batches) > 1
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert not batching.lost(folder)
    server.faults = Faults(terminal)
    assert batched == batching.online(folder, server)


def test_graded_batches_takes_in_what_no_stage_asks_for_any_more(
    folder: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    batching.set_up(folder, server, wait=False)
    server.batches.plan = Plan(("validating", *["in_progress"] * 3, "completed"))
    with pytest.raises(ResumeError):
        grade.main()
    prompt = Path("prompts/grade.txt")
    prompt.write_text(prompt.read_text() + "\nBe strict.\n")
    for _ in range(3):
        batches()
    said = capsys.readouterr().out
    assert "60 requests, at most $0.11: in_progress, 0 replies" in said
    assert "completed, 60 replies of 60 requests" in said
    assert "0 batches under way, $0.00 reserved" in said
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)


def test_a_key_that_a_batch_repeats_is_written_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", planted.SECRETS["OPENAI_API_KEY"])
    with StandIn(lambda _: f"[2] {planted.SECRETS['OPENAI_API_KEY']}") as repeating:
        batching.set_up(folder, repeating, pairs=5)
        grade.main()
        assert repeating.counts.kinds["batch ok"] == 5
    texts = [fields["reply"]["text"] for line in Ledger(folder).lines() if (fields := decode(line))["kind"] == "reply"]
    assert texts == ["[2] ***"] * 5
    assert planted.found(folder) == []
