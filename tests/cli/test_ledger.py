"""`graded ledger` and `graded estimate`: what they show is what the files hold and what is then billed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from graded.cli import app
from graded.cli.estimate import short
from graded.errors import DataError, GradedError, MissingError, ResumeError
from graded.formats import table
from graded.llm.ledger import Ledger, spent
from graded.llm.store import Store
from graded.llm.writer import Writer
from graded.stages import grade, query
from tests.conftest import ROOT
from tests.llm import buying
from tests.llm import workspace as work
from tests.llm.test_ledger import hold, reply, sealed_segment
from tests.standin import StandIn
from tests.workspace import write_params


def graded(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, GradedError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def full(number: int) -> dict[str, object]:
    body = {"text": "[2]", "finish_reason": "stop", "usage": [700, 3, 0]}
    return {**reply(number), "stage": "grade", "lang": "fi", "family": "openai", "model": "m", "in": 9, "reply": body}


def test_status_shows_each_group_and_what_may_have_been_paid(purse: Path) -> None:
    with Writer(Store(purse)) as live:
        live.write([full(0), full(1), hold(2, usd=0.25)])
    said = graded("ledger", "status")
    assert re.search(r"grade +openai/m +fi +2 +1,400 +6 +1\.00", said)
    assert "possibly paid  1 request that may have been billed, at most $0.25" in said
    assert "this clone     $1.00 paid, $0.25 possibly paid or in flight" in said


def test_status_ends_its_table_with_the_dollars_of_each_stage_and_of_all(purse: Path) -> None:
    """Models and languages added up; a model's long name leaves the columns where they are."""
    written = {**full(9), "stage": "query", "usd": 0.25}
    asked = [full(0), {**full(1), "lang": "ar", "model": "m" * 60, "usd": 1234.0}, written]
    with Writer(Store(purse)) as live:
        live.write(asked)
    said = graded("ledger", "status")
    assert max(map(len, said.splitlines())) <= 100
    assert [line.split() for line in said.splitlines()[4:7]] == [
        ["grade", "total", "2", "1,400", "6", "1,234.50"],
        ["query", "total", "1", "700", "3", "0.25"],
        ["all", "total", "3", "2,100", "9", "1,234.75"],
    ]


def test_verify_names_damage_and_repair_keeps_what_is_whole(purse: Path) -> None:
    store = Store(purse)
    sealed = sealed_segment(store, *[full(number) for number in range(2000)])
    assert "1 file, 2,001 lines: all checksums hold" in graded("ledger", "verify")
    data = sealed.read_bytes()
    sealed.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(DataError, match="1 of 1 files are damaged"):
        graded("ledger", "verify")
    assert len(Ledger(purse).state.known) == 0
    kept = int(re.findall(r"; ([\d,]+) whole records kept", graded("ledger", "verify", "--repair"))[0].replace(",", ""))
    assert 0 < kept < 2000
    assert len(Ledger(purse).state.known) == kept
    assert "all checksums hold" in graded("ledger", "verify")


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_export_holds_every_reply(purse: Path, name: str) -> None:
    with Writer(Store(purse)) as live:
        live.write([full(number) for number in range(5)])
    assert graded("ledger", "export", name) == f"5 replies written to {name}\n"
    rows = duckdb.connect().execute(f"SELECT count(*), count(DISTINCT key) FROM '{name}'").fetchall()
    assert rows == [(5, 5)]


def billed(said: str) -> tuple[int, float]:
    found = re.search(r"total: ([\d,]+) replies to buy, \$([\d.,]+) online", said)
    assert found is not None
    return int(found[1].replace(",", "")), float(found[2])


def test_the_estimate_is_what_is_then_billed(purse: Path) -> None:
    with StandIn() as server:
        judges = {"annotators": {"a": buying.judge(server), "b": buying.judge(server, seed=2)}}
        work.make(purse, passages=8, query={"model": buying.MODEL, "base_url": server.base_url}, grade=judges)
        said = graded("estimate")
        assert billed(said)[0] == 32 + 2 * 32 * 5
        assert "to buy all of this" not in said, "the cap allows it"
        assert server.counts.requests.total() == 0
        query.main()
        work.make_candidates(purse, depth=1)
        grade.main()
        work.make_candidates(purse, depth=5)
        before, paid = server.counts.billed.total(), spent(purse).paid
        count, dollars = billed(graded("estimate"))
        grade.main()
        assert server.counts.billed.total() - before == count == 2 * 32 * 4
        assert dollars == pytest.approx(spent(purse).paid - paid, rel=0.05)
        said = graded("estimate")
        assert billed(said) == (0, 0.0)
        assert max(map(len, said.splitlines())) <= 100


def test_nothing_is_estimated_before_the_teams_ledger_is_pulled(purse: Path) -> None:
    """What it holds would be counted as new."""
    work.make(purse, passages=1)
    assert billed(graded("estimate"))[0] > 0
    pointer = "outs: [{md5: 0123456789abcdef0123456789abcdef.dir, size: 9, nfiles: 1, hash: md5, path: ledger}]\n"
    Path("data/ledger.dvc").write_text(pointer, encoding="utf-8")
    for made in (False, True):
        if made:
            Path("data/ledger").mkdir()
        with pytest.raises(MissingError, match=r"^data/ledger.*; run: graded ledger pull$") as said:
            graded("estimate")
        assert "\n" not in str(said.value)


def test_an_edited_prompt_is_told_before_anything_is_bought_anew(purse: Path) -> None:
    with StandIn() as server:
        judges = {"annotators": {"a": buying.judge(server), "b": buying.judge(server, seed=2)}}
        work.make(purse, passages=3, query={"model": buying.MODEL, "base_url": server.base_url}, grade=judges)
        query.main()
        work.make_candidates(purse, depth=1)
        grade.main()
        before = server.counts.billed.total()
        assert "paid replies fits" not in graded("estimate")
        prompt = Path("prompts/grade.txt")
        prompt.write_text(prompt.read_text(encoding="utf-8") + "\nBe strict.\n", encoding="utf-8")
        said = graded("estimate")
        assert f"grade {buying.MODEL}: none of its 24 paid replies fits: prompt, params or texts have changed" in said
        assert billed(said)[0] == 24
        assert max(map(len, said.splitlines())) <= 100
        assert server.counts.billed.total() == before


def test_what_is_in_a_batch_is_not_estimated_again(purse: Path) -> None:
    with StandIn() as server:
        judges = {"annotators": {"a": buying.judge(server)}, "mode": "batch", "batch": {"wait": False}}
        writer = {"model": buying.MODEL, "base_url": server.base_url}
        work.make(purse, passages=3, annotators=["a"], query=writer, grade=judges)
        query.main()
        work.make_candidates(purse, depth=1)
        said = graded("estimate")
        assert billed(said)[0] == 12
        with pytest.raises(ResumeError):
            grade.main()
        said = graded("estimate")
        assert billed(said) == (0, 0.0)
        assert "under way: 12 requests in batches that are paid for and not bought again" in said


def test_two_annotators_that_are_the_same_are_paid_once(purse: Path) -> None:
    with StandIn() as server:
        buying.make(purse, server, pairs=50)
        twins = {"a": buying.judge(server), "b": buying.judge(server)}
        values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        write_params(purse, **{**values, "annotators": ["a", "b"], "grade": {"annotators": twins}})
        grade.main()
        assert server.counts.billed.total() == 50
    assert buying.result(purse) == Path("data/grade/b/fi.parquet").read_bytes()


def test_before_anything_is_measured_it_is_within_5_percent_too(purse: Path) -> None:
    with StandIn() as server:
        judges = {"annotators": {"a": buying.judge(server), "b": buying.judge(server, seed=2)}}
        work.make(purse, query={"model": buying.MODEL, "base_url": server.base_url}, grade=judges)
        values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        languages = ["fi", "ar", "ja", "ru", "es", "en"]
        write_params(purse, **{**values, "languages": languages, "candidate": {"k": 3}})
        for lang in languages:
            lines = (ROOT / "sample/texts" / lang / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:10]
            rows = [(one["_id"], one["title"], one["text"]) for one in map(json.loads, lines)]
            table.write_rows(purse / f"data/sample/{lang}.parquet", table.PASSAGES, rows)
        count, dollars = billed(graded("estimate"))
        query.main()
        between, paid = billed(graded("estimate")), spent(purse).paid
        work.make_candidates(purse, languages=languages)
        grade.main()
        assert server.counts.billed.total() == count == 120 + between[0]
        assert between[1] == pytest.approx(spent(purse).paid - paid, rel=0.05)
        assert dollars == pytest.approx(spent(purse).paid, rel=0.05)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (950, "950"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (689_117, "689k"), (999_600, "1.00M"),
     (2_400_000, "2.40M"), (2_400_000_000, "2.40G"), (64_000_000_000, "64.0G")],
)  # fmt: skip
def test_tokens_are_short(count: int, text: str) -> None:
    assert short(count) == text
