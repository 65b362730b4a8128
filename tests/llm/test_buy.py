"""Buying from a real server on loopback: nothing bought twice, nothing over the cap, every failure told apart."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from graded.errors import BudgetError, MissingError, ServiceError
from graded.formats import table
from graded.llm.lane import FIRST
from graded.llm.ledger import RUNS, Ledger, last_run, spent
from graded.llm.lines import decode
from graded.stages import grade, query
from tests.llm import buying
from tests.llm import workspace as work
from tests.standin import Faults, StandIn
from tests.workspace import write_params


def test_queries_and_grades_are_bought_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn() as server:
        grades = {"annotators": {"a": buying.judge(server, top_logprobs=5), "b": buying.judge(server, seed=2)}}
        work.make(folder, query={"model": buying.MODEL, "base_url": server.base_url}, grade=grades)
        query.main()
        work.make_candidates(folder)
        grade.main()
        assert server.counts.billed.total() == len(server.counts.billed) == 16 + 2 * 48
        assert spent(folder).paid == pytest.approx(buying.dollars(server))
        assert spent(folder).lost == spent(folder).reserved == 0
        first = {path: path.read_bytes() for path in Path("data").rglob("*.parquet")}
        monkeypatch.delenv("GRADED_BUDGET_USD")
        query.main()
        grade.main()
        assert {path: path.read_bytes() for path in Path("data").rglob("*.parquet")} == first
        assert server.counts.billed.total() == 112
    rows = list(table.read_rows(Path("data/grade/a/fi.parquet"), "grade", "expected", "outside", "outcome"))
    assert {row[3] for row in rows} == {"ok"}
    assert all(
        abs(expected - mark) < 1.0 and outside == pytest.approx(0.02, abs=1e-5) for mark, expected, outside, _ in rows
    )
    note = last_run("grade")
    assert note is not None
    assert (note.reused, note.bought) == (96, 0)


def test_failures_change_no_grade_and_are_paid_at_worst_as_possibly_paid(folder: Path) -> None:
    with StandIn() as server:
        buying.make(folder, server, pairs=200)
        grade.main()
        calm = buying.result(folder)
    shutil.rmtree(folder / ".ledger")
    transient = {"rate": 0.05, "overloaded": 0.03, "error": 0.05, "timeout": 0.01, "torn": 0.03, "json": 0.03}
    with StandIn(faults=Faults(transient), retry_after=0.01) as server:
        buying.asks(folder, server, timeout=2.0)
        grade.main()
        assert buying.result(folder) == calm
        kinds = server.counts.kinds
        assert min(kinds[name] for name in transient) > 0
        assert spent(folder).reserved == 0
        known = Counter(line["why"] for line in lost(folder))
        assert set(known) == {"time-out", "torn connection", "malformed reply"}
        assert known.total() >= kinds["timeout"] + kinds["torn"] + kinds["json"], "a busy machine may add time-outs"
        assert known.total() >= sum(count - 1 for count in server.counts.billed.values())
        assert spent(folder).paid + spent(folder).lost >= buying.dollars(server)


def test_the_cap_holds_over_restarts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with StandIn() as server:
        buying.make(folder, server, pairs=400, in_flight=16)
        for cap in ("0.10", "0.20"):
            monkeypatch.setenv("GRADED_BUDGET_USD", cap)
            with pytest.raises(BudgetError, match=rf"cap of \${cap} is reached: .* replies still missing"):
                grade.main()
            assert 0.9 * float(cap) < buying.dollars(server) <= float(cap)
            assert spent(folder).paid == pytest.approx(buying.dollars(server))
        said = capsys.readouterr().out
        assert f"grade {buying.MODEL}: to buy fi 400, about $" in said
        assert "GRADED_BUDGET_USD leaves $0.10 of that: buying stops there" in said
        monkeypatch.setenv("GRADED_BUDGET_USD", "10")
        grade.main()
        assert server.counts.billed.total() == len(server.counts.billed) == 400


def test_all_of_a_body_is_reserved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool of 100,000 bytes can be that many tokens: 25 cents at least."""
    tools = [{"type": "function", "function": {"name": "x", "description": "word " * 20_000}}]
    with StandIn() as server:
        buying.make(folder, server, pairs=5, extra={"tools": tools})
        monkeypatch.setenv("GRADED_BUDGET_USD", "0.25")
        with pytest.raises(BudgetError, match=r"the cap of \$0.25 is reached: \$0.00 paid"):
            grade.main()
        assert server.counts.requests.total() == 0
        monkeypatch.setenv("GRADED_BUDGET_USD", "0.26")
        grade.main()
        assert server.counts.billed.total() == 5


def test_a_reply_that_costs_more_than_it_can_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StandIn(lambda _: "[2] " + "and so on " * 2000) as server:
        buying.make(folder, server, pairs=10)
        grade.main()
        assert spent(folder).paid == pytest.approx(buying.dollars(server))
    said = capsys.readouterr()
    assert (said.out + said.err).count("grade.annotators.a: a reply was billed at $0.0") == 1


def test_an_endpoint_that_ignores_max_tokens_is_held_to_the_cap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reply costs about five times what was to be the most. Only the first ones of a process can pass the cap."""
    cap = 3.0
    with StandIn(lambda _: "[2] " + "and so on " * 2000, latency=0.05) as server:
        buying.make(folder, server, pairs=400, in_flight=32)
        server.pause_after = 0
        both = [buying.start(folder, cap) for _ in range(2)]
        buying.until(lambda: server.in_flight == 2 * FIRST)
        server.resume()
        said = [process.communicate(timeout=60)[1] for process in both]
        assert [process.returncode for process in both] == [3, 3], said
        assert all(f"the cap of ${cap:.2f} is reached" in one for one in said)
        billed, each = buying.dollars(server), buying.dollars(server) / server.counts.billed.total()
        assert cap - 2 * each < billed < cap
        assert spent(folder).paid == pytest.approx(billed)
        monkeypatch.setenv("GRADED_BUDGET_USD", str(cap))
        with pytest.raises(BudgetError, match="is reached"):
            grade.main()
        assert buying.dollars(server) <= cap + FIRST * each


@pytest.mark.slow
def test_a_kill_at_such_an_endpoint_leaves_all_that_was_billed_accounted_for(folder: Path) -> None:
    with StandIn(lambda _: "[2] " + "and so on " * 2000) as server:
        buying.make(folder, server, pairs=400, in_flight=32)
        for _ in range(3):
            server.pause_after = server.counts.requests.total() + 60
            process = buying.start(folder)
            buying.until(lambda: server.in_flight >= 32)
            process.kill()
            process.communicate()
            server.resume()
            buying.until(lambda: server.in_flight == 0)
            state = spent(folder)
            assert state.committed >= buying.dollars(server), "the killed ones' replies were billed"
            assert state.committed < 1.5 * buying.dollars(server)


def test_two_processes_share_one_ledger(folder: Path) -> None:
    with StandIn() as server:
        buying.make(folder, server, pairs=1000, in_flight=64)
        copy = Path(shutil.copytree(folder, folder / "copy"))
        server.pause_after = 0
        both = [buying.start(folder), buying.start(copy, root=folder)]
        buying.until(lambda: server.in_flight > FIRST)  # more than one alone has
        server.resume()
        said = [process.communicate(timeout=60) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert server.counts.requests.total() == len(server.counts.billed) == 1000
    kinds = [[decode(line)["kind"] for line in path.open("rb")] for path in (folder / ".ledger/live").iterdir()]
    assert sorted("reply" in one for one in kinds) == [True, True]
    notes = [json.loads((at / RUNS / "grade.json").read_text()) for at in (folder, copy)]
    assert sorted(note["bought"] for note in notes) == sorted(one.count("reply") for one in kinds)
    assert [note["reused"] + note["bought"] for note in notes] == [1000, 1000]
    assert sum(note["dollars"] for note in notes) == pytest.approx(spent(folder).paid)


def test_killed_again_and_again_it_loses_nothing_that_was_kept(folder: Path) -> None:
    with StandIn(faults=Faults({"rate": 0.02, "error": 0.02})) as server:
        buying.make(folder, server, pairs=400, in_flight=32)
        kept = 0
        for _ in range(2):
            server.pause_after = server.counts.requests.total() + 120
            process = buying.start(folder)
            buying.until(lambda: server.counts.requests.total() > (server.pause_after or 0))
            process.kill()
            process.communicate()
            state = Ledger(folder).state
            assert len(state.known) >= kept
            kept = len(state.known)
            server.resume()
        process = buying.start(folder)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert sum(count - 1 for count in server.counts.billed.values()) <= len(lost(folder)) + open_holds(folder)
        assert len(server.counts.billed) == 400
    assert spent(folder).reserved > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_in_what_is_in_flight(folder: Path, number: signal.Signals) -> None:
    with StandIn() as server:
        buying.make(folder, server, pairs=1000, in_flight=50)
        server.pause_after = 100
        process = buying.start(folder)
        buying.until(lambda: server.counts.requests.total() == 150)
        process.send_signal(number)
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first == f"{number.name}: waiting for the 50 replies in flight; once more ends at once\n"
        server.resume()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 4
        assert said.startswith(f"graded: stopped by {number.name}; every reply that came is kept")
        assert said.count("\n") == 1
        assert len(Ledger(folder).state.known) == server.counts.billed.total() == server.counts.requests.total()
        assert spent(folder).reserved == spent(folder).lost == 0


def test_a_wrong_key_stops_at_once_and_costs_nothing(folder: Path) -> None:
    with StandIn(api_key="right") as server:
        buying.make(folder, server, pairs=100)
        with pytest.raises(
            ServiceError, match=r"^grade\.annotators\.a \(gpt-4o.*\): the endpoint says 401: Incorrect API key"
        ):
            grade.main()
    assert spent(folder).paid == spent(folder).lost == spent(folder).reserved == 0


def test_an_endpoint_that_is_not_there_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graded.llm.lane.TRIES", 2)
    with StandIn() as server:
        buying.make(folder, server, pairs=100)
    with pytest.raises(ServiceError, match="requests in a row failed, the last with no connection"):
        grade.main()
    assert spent(folder).reserved == 0


def test_an_address_without_a_server_ends_the_run_in_seconds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("graded.llm.buy.REACHED", 1.0)
    with StandIn() as server:
        buying.make(folder, server, pairs=100)
    with pytest.raises(ServiceError, match=r"no connection in 1 s and .* is its base_url right\?"):
        grade.main()
    assert spent(folder).reserved == 0


def test_a_missing_key_is_named_before_anything_is_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with StandIn() as server:
        buying.make(folder, server, pairs=10)
        with pytest.raises(MissingError, match="OPENAI_API_KEY is not set"):
            grade.main()
        assert server.counts.requests.total() == 0


def test_an_own_server_is_asked_for_nothing(folder: Path) -> None:
    with StandIn() as server:
        buying.make(folder, server, pairs=50)
        values = {"a": {"model": "google/gemma-3-27b-it", "family": "vllm", "base_url": server.base_url}}
        write_params(
            folder, languages=["fi"], annotators=["a"], query=work.RECORDED["query"], grade={"annotators": values}
        )
        grade.main()
        assert server.counts.billed.total() == 50
    assert spent(folder).paid == 0.0


def test_at_the_cap_an_own_server_still_finishes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADED_BUDGET_USD", "0.02")
    with StandIn() as paid, StandIn() as own:
        buying.make(folder, paid, pairs=100)
        judges = {
            "a": buying.judge(paid),
            "b": {"model": "google/gemma-3-27b-it", "family": "vllm", "base_url": own.base_url},
        }
        queries = work.RECORDED["query"]
        write_params(folder, languages=["fi"], annotators=["a", "b"], query=queries, grade={"annotators": judges})
        with pytest.raises(BudgetError, match="cap of"):
            grade.main()
        assert own.counts.billed.total() == 100
        assert 0 < buying.dollars(paid) <= 0.02


def lost(folder: Path) -> list[dict[str, str]]:
    return [fields for fields in map(decode, Ledger(folder).lines()) if fields["kind"] == "lost"]


def open_holds(folder: Path) -> int:
    return sum(len(held) for held in Ledger(folder).state.held.values())
