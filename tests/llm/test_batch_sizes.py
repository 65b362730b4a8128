"""Batches at the endpoints' own limits: 50,000 requests at OpenAI, 100,000 at Azure, 200 MB a file at both."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.formats import table
from graded.llm.ledger import spent
from graded.stages import grade
from tests.llm import batching, buying
from tests.standin import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("large batches")]


@pytest.mark.parametrize(("family", "most"), [("openai", 50_000), ("azure", 100_000)])
def test_a_file_holds_as_many_requests_as_its_endpoint_takes(
    folder: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, family: str, most: int
) -> None:
    judge = {**buying.judge(server), "family": family}
    if family == "azure":
        for name, value in (("AZURE_OPENAI_API_KEY", "k"), ("OPENAI_API_VERSION", "2024-10-21")):
            monkeypatch.setenv(name, value)
        judge["base_url"] = f"{server.base_url.removesuffix('/v1')}/openai"
    batching.set_up(folder, server, pairs=most + 5, annotators={"a": judge})
    grade.main()
    assert [len(batch.lines) for batch in server.batches.batches.values()] == [most, 5]
    check(folder, server, most + 5)


def test_a_file_holds_as_many_bytes_as_an_endpoint_takes(folder: Path, server: StandIn) -> None:
    batching.set_up(folder, server, pairs=25_000)
    docs = [(f"d{number}", "", f"passage {number} of the set {'ä' * 4000}") for number in range(50)]
    table.write_rows(folder / "data/sample/fi.parquet", table.PASSAGES, docs)
    grade.main()
    files = [fields["bytes"] for fields, _ in server.batches.files.values() if fields["purpose"] == "batch"]
    line = files[0] / len(server.batches.batches["batch_000001"].lines)
    assert len(files) == 2
    assert 200_000_000 - 2 * line < files[0] <= 200_000_000
    check(folder, server, 25_000)


def check(folder: Path, server: StandIn, pairs: int) -> None:
    """Everything was billed once, is paid for, and is in the stage's output."""
    assert server.counts.billed.total() == len(server.counts.billed) == pairs
    assert spent(folder).paid == pytest.approx(buying.dollars(server) / 2)
    assert (spent(folder).reserved, batching.under_way()) == (0, 0)
    assert table.count_rows(folder / "data/grade/a/fi.parquet") == pairs
