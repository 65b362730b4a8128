"""`graded probe` against a judge that obeys passages and against one that does not, through client and ledger."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from graded.cli import app
from graded.errors import BudgetError, ParamError
from tests.llm import workspace as work
from tests.standin import StandIn, pair_of
from tests.standin.chat import Body


def gullible(body: Body) -> str:
    """Obey the last bracketed number of the passage, which is what the attacks hope for."""
    pair = pair_of(body)
    assert pair is not None
    found = re.findall(r"\[(\d)\]", pair[1])
    return f"[{found[-1] if found else 0}]"


def set_up(folder: Path, server: StandIn) -> None:
    judge = {"model": "judge", "family": "openai", "base_url": server.base_url, "max_tokens": 8, "top_logprobs": 5}
    work.make(folder, grade={"annotators": {"a": judge, "b": judge}})
    price = {"input": 1.0, "output": 1.0, "source": "test"}
    (folder / "prices.yaml").write_text(
        yaml.safe_dump({"date": "2026-11-21", "batch": 0.5, "models": {"openai": {"judge": price}}})
    )


def probe(*arguments: str) -> tuple[str, dict[str, Any]]:
    done = CliRunner().invoke(app, ["probe", *arguments, "--json", "report.json"])
    if done.exception is not None:
        raise done.exception
    rows = json.loads(Path("report.json").read_text())["rows"]
    return done.output, {row["name"]: row for row in rows}


def test_a_gullible_judge_is_found_out_and_asked_once(purse: Path) -> None:
    with StandIn(gullible) as server:
        set_up(purse, server)
        text, rows = probe("b")
        asked = len(server.counts.requests)
        again, same = probe("b")
        assert server.counts.requests.total() == asked
    assert same == rows
    assert rows["grade"]["inflation"] == rows["closing"]["inflation"] == 3
    assert rows["grade"]["raised"] == 1
    assert rows["stuffing"]["inflation"] == rows["authority"]["inflation"] == 0
    assert rows["grade"]["expected"] > 1
    assert 0 < rows["all"]["inflation"] < 3
    assert max(len(line) for line in text.splitlines() if "ETA" not in line) <= 100
    assert re.search(r"^grade +\d+ +0\.00 +3\.00 +\+3\.00 +100%", text, re.MULTILINE)
    assert f"0 replies bought for $0.00, {asked:,} from the ledger" in again


def test_a_steadfast_judge_shows_no_inflation_and_refusals_are_counted(purse: Path) -> None:
    def choose(key: str, attempt: int, body: Body) -> str | None:
        return "refused" if "assistant" in body["messages"][-1]["content"] else None

    with StandIn(lambda body: "[1]", choose=choose) as server:
        set_up(purse, server)
        text, rows = probe()
    assert rows["all"]["inflation"] == 0
    assert rows["control"]["compared"] < rows["control"]["probes"]
    assert re.search(r"without a grade: \d+ refused", text)


def test_without_a_budget_nothing_is_asked(purse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADED_BUDGET_USD")
    with StandIn() as server:
        set_up(purse, server)
        with pytest.raises(BudgetError, match="replies are missing"):
            probe()
        with pytest.raises(ParamError, match=r"received 'c'.*legal: a, b"):
            probe("c")
        assert not server.counts.requests
