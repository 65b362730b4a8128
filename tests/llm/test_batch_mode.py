"""When a batch is made, what it may cost, and what leaving and coming back finds."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from graded.cli.batches import batches
from graded.errors import BudgetError, ParamError, ResumeError, ServiceError
from graded.formats import table
from graded.llm import batch_api
from graded.llm.ledger import spent
from graded.llm.request import BATCH
from graded.llm.store import Store
from graded.stages import grade
from tests.llm import batching, buying
from tests.standin import Plan, StandIn


def test_leaving_and_coming_back(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError, match=r"60 requests are submitted in 1 batch .* run the same command again"):
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
    assert f"grade {buying.MODEL}: to buy fi 60, about $0.02 by batch\n" in capsys.readouterr().out


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


@pytest.mark.parametrize(("family", "most"), [("openai", 25), ("azure", 50)])
def test_each_family_has_its_own_limit(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, family: str, most: int
) -> None:
    assert BATCH == {"openai": 50_000, "azure": 100_000}
    assert batch_api.BYTES == 200_000_000
    monkeypatch.setitem(BATCH, "openai", 25)
    monkeypatch.setitem(BATCH, "azure", 50)
    for name, value in (("AZURE_OPENAI_API_KEY", "k"), ("OPENAI_API_VERSION", "2024-10-21")):
        monkeypatch.setenv(name, value)
    judge = {**buying.judge(server), "family": family}
    if family == "azure":
        judge["base_url"] = f"{server.base_url.removesuffix('/v1')}/openai"
    batching.set_up(folder, server, annotators={"a": judge})
    grade.main()
    sizes = [len(batch.lines) for batch in server.batches.batches.values()]
    assert sizes == [most] * (batching.PAIRS // most) + [batching.PAIRS % most]


def test_a_file_is_checked_before_its_batch_is_made(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, pairs=5)
    server.batches.checks = deque(["pending", "processed"])
    grade.main()
    assert server.counts.billed.total() == 5
    batching.params(server, annotators={"a": buying.judge(server, seed=1)})
    server.batches.checks = deque(["error"])
    with pytest.raises(ServiceError, match=r"grade\.annotators\.a: the endpoint rejects the file file-00000\d"):
        grade.main()
    grade.main()
    assert server.counts.billed.total() == 10


def test_what_is_in_flight_elsewhere_is_waited_for(folder: Path, server: StandIn) -> None:
    buying.make(folder, server, pairs=5)
    server.pause_after = 0
    with buying.start(folder) as other:
        buying.until(lambda: server.in_flight == 5)
        batching.params(server)
        waiting = threading.Thread(target=grade.main)
        waiting.start()
        time.sleep(0.5)  # it looks a hundred times a second
        assert waiting.is_alive()
        server.resume()
        waiting.join(60)
        assert (other.wait(60), waiting.is_alive()) == (0, False)
    assert (server.counts.billed.total(), len(server.batches.batches)) == (5, 0)


def test_an_online_buyer_takes_in_a_batch_whose_maker_has_left(folder: Path, server: StandIn) -> None:
    few = {"a": buying.judge(server, in_flight=4)}
    batching.set_up(folder, server, mode="online", pairs=20, annotators=few)
    server.pause_after = 0
    with buying.start(folder) as other:
        buying.until(lambda: server.in_flight == 4)
        batching.params(server, annotators=few, wait=False)
        with pytest.raises(ResumeError, match="are submitted in 1 batch"):
            grade.main()
        server.resume()
        assert other.wait(60) == 0
    assert server.counts.billed.total() == len(server.counts.billed) == 20
    assert (server.counts.kinds["batch ok"] > 0, batching.under_way(), spent(folder).reserved) == (True, 0, 0)


def test_a_batch_whose_replies_came_from_elsewhere_is_paid_all_the_same(
    folder: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    Path(".ledger").rename("ours")
    batching.params(server, "online")
    grade.main()
    theirs = Store(folder)
    with theirs.lock():
        sealed = theirs.seal(theirs.dead())
    assert sealed is not None
    theirs.snapshot.mkdir(parents=True)
    sealed.rename(theirs.snapshot / sealed.name)
    Path(".ledger").rename("theirs")
    Path("ours").rename(".ledger")
    grade.main()
    assert "1 batch is under way that others have answered" in capsys.readouterr().out
    assert spent(folder).reserved > 0 == spent(folder).paid
    for _ in range(4):
        batches()
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2 / 2)
    assert (spent(folder).reserved, batching.under_way()) == (0, 0)


def test_a_batch_that_the_endpoint_does_not_know_is_named(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    server.batches.batches.clear()
    with pytest.raises(ServiceError, match=r"does not know batch batch_000001.*--give-up"):
        grade.main()


def test_an_online_buyer_leaves_the_requests_of_a_batch_alone(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    batching.params(server, "online", wait=True)
    grade.main()
    assert server.counts.kinds == {"batch ok": batching.PAIRS}


def dense(folder: Path, server: StandIn, reserve: str) -> float:
    """Measure short English texts one by one, return the dollars, and make ready a batch of Japanese ones."""
    batching.set_up(folder, server, mode="online", pairs=100)
    grade.main()
    passages = [(f"d{number}", "", f"{number} {'日本語の文章です。' * 200}") for number in range(50)]
    table.write_rows(folder / "data/sample/fi.parquet", table.PASSAGES, passages)
    batching.params(server, reserve=reserve)
    return buying.dollars(server)


def test_a_batch_of_denser_texts_than_were_measured_stays_under_the_cap(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dense(folder, server, "bytes")
    monkeypatch.setenv("GRADED_BUDGET_USD", "0.25")
    with pytest.raises(BudgetError, match=r"the cap of \$0.25 is reached"):
        grade.main()
    assert spent(folder).paid == pytest.approx((buying.dollars(server) + before) / 2)
    assert 0.2 < spent(folder).paid <= 0.25
    said = capsys.readouterr().out
    assert re.search(
        r"submitted, at most \$0.1\d\n\d+ more requests wait for room under the cap: a batch reserves", said
    )
    assert 0.25 - spent(folder).paid > 0.01, "a request costs $0.007 at most: it does not go on in ever smaller batches"
    monkeypatch.setenv("GRADED_BUDGET_USD", "10")
    grade.main()
    assert server.counts.billed.total() == len(server.counts.billed) == 200


def test_a_batch_reserved_by_what_was_measured_says_about_and_what_it_cost_more(
    folder: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dense(folder, server, "measured")
    grade.main()
    said = capsys.readouterr().out
    assert re.search(r"100 requests of grade.annotators.a submitted, about \$0.1\d\n", said)
    assert re.search(r"batch batch_000001: it cost \$0.2\d, more than the \$0.1\d reserved for it\n", said)
    assert spent(folder).paid == pytest.approx((buying.dollars(server) + before) / 2)


def test_reservations_of_batches_follow_what_the_ledger_has_measured(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, wait=False)
    with pytest.raises(ResumeError):
        grade.main()
    by_bytes = spent(folder).reserved
    batching.params(server, "online", wait=True)
    grade.main()
    paid = spent(folder).paid
    batching.params(server, annotators={"a": buying.judge(server, seed=3)}, wait=False, reserve="measured")
    with pytest.raises(ResumeError, match=r"60 requests are submitted in 1 batch \(about \$"):
        grade.main()
    assert paid < spent(folder).reserved < 1.6 * paid < by_bytes


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_a_key_under_any_name_is_kept_out_of_what_a_reply_repeats(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("TEAM_LLM", "sk-planted-0123456789")
    with StandIn(lambda _: "[2] your key is sk-planted-0123456789") as echoing:
        batching.set_up(folder, echoing, pairs=10)
        batching.params(echoing, mode, annotators={"a": buying.judge(echoing, key_env="TEAM_LLM")})
        grade.main()
    kept = b"".join(path.read_bytes() for path in Path(".ledger").rglob("*.jsonl"))
    assert b"your key is ***" in kept
    assert b"planted" not in kept
