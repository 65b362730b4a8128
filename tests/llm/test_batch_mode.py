"""When a batch is made, what it may cost, and what leaving and coming back finds."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

import pytest

from graded.errors import BudgetError, ParamError, ResumeError
from graded.llm.ledger import spent
from graded.stages import grade
from tests.llm import batching, buying
from tests.standin import Plan, StandIn


def test_leaving_and_coming_back(folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    batching.set_up(folder, server, wait=False)
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
    batching.set_up(folder, server)
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
    assert server.counts.billed.total() == batching.PAIRS


def test_a_batch_is_only_for_who_has_one(folder: Path, server: StandIn) -> None:
    own = {"a": {**buying.judge(server), "family": "vllm", "model": "google/gemma-3-27b-it"}}
    batching.set_up(folder, server, annotators=own)
    with pytest.raises(ParamError, match=r"grade.mode: received 'batch'.*family vllm.*legal: online, auto"):
        grade.main()
    batching.params(server, "auto", annotators=own)
    grade.main()
    assert server.counts.kinds == {"ok": batching.PAIRS}


def test_auto_makes_batches_of_many_and_asks_few_one_by_one(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, mode="auto", at_least=50)
    server.batches.plans = deque([Plan(("expired",), done=0.5)])
    grade.main()
    assert server.counts.kinds == {"batch ok": 30, "ok": 30}
    assert server.counts.billed.total() == len(server.counts.billed) == batching.PAIRS


def test_azure_has_paths_and_deployments_of_its_own(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.base_url.removesuffix("/v1"))
    judge = {"model": buying.MODEL, "family": "azure", "deployment": "one", "batch_deployment": "many"}
    batching.set_up(folder, server, annotators={"a": {**judge, "max_tokens": 8}})
    grade.main()
    _, content = server.batches.files["file-000001"]
    line = json.loads(content.splitlines()[0])
    assert (line["url"], line["body"]["model"]) == ("/chat/completions", "many")
    assert server.counts.billed.total() == batching.PAIRS


def test_an_online_buyer_leaves_the_requests_of_a_batch_alone(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    batching.params(server, "online", wait=True)
    grade.main()
    assert server.counts.kinds == {"batch ok": batching.PAIRS}


def test_reservations_of_batches_follow_what_the_ledger_has_measured(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    by_bytes = spent(folder).reserved
    batching.params(server, "online", wait=True)
    grade.main()
    paid = spent(folder).paid
    batching.params(server, annotators={"a": buying.judge(server, seed=3)}, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    assert paid < spent(folder).reserved < 1.6 * paid < by_bytes
