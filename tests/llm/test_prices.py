"""prices.yaml: what would make the cap a wrong one is refused, in one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.errors import ParamError
from graded.llm import prices
from graded.llm.request import Model
from tests.conftest import ROOT
from tests.workspace import changed

GPT = Model(model="gpt-4o-2024-11-20")
SHIPPED = (ROOT / "prices.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch: 0.5", "batch: half", "batch: received 'half'; expected .* above 0 and up to 1"),
        ("batch: 0.5", "batch: -1", "batch: received -1; expected"),
        ("batch: 0.5", "batch: 0", "batch: received 0; expected"),
        ("batch: 0.5", "batch: 1.5", "batch: received 1.5; expected"),
        ("batch: 0.5", "batch: .nan", "batch: received nan; expected"),
        ("batch: 0.5", "bacth: 0.5", "received 'bacth'.*did you mean 'batch'"),
        ("date: 2026-11-21\n", "", "date is missing; say when"),
        ("date: 2026-11-21", "date: today", "date: received 'today'; expected a day such as"),
        ("input: 2.50", "input: .inf", r"models\.openai\.gpt-4o-2024-11-20\.input: received inf; .* finite"),
        ("input: 2.50", "input: .nan", r"models\.openai\.gpt-4o-2024-11-20\.input: received nan; "),
        ("output: 10.00", "output: -1", r"models\.openai\.gpt-4o-2024-11-20\.output: received -1; "),
        ("cached: 1.25", "cached: 99", r"gpt-4o-2024-11-20: cached: received 99; expected at most the 2.5 of input"),
        ("  azure:\n", "  other: [1]\n  azure:\n", r"models\.other: received \[1\]; expected a mapping"),
    ],
)  # fmt: skip
def test_a_price_that_is_none_is_named(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "prices.yaml").write_text(changed(SHIPPED, old, new), encoding="utf-8")
    with pytest.raises(ParamError, match=rf"^prices\.yaml: .*{said}") as caught:
        prices.load().of(GPT)
    assert "\n" not in str(caught.value)


def test_another_file_is_laid_over_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "prices.yaml").write_text(SHIPPED, encoding="utf-8")
    entry = "{input: 1, output: 2, source: a contract}"
    over = folder / "ours.yaml"
    over.write_text(f"date: 2026-11-22\nmodels: {{openai: {{{GPT.model}: {entry}}}}}\n", encoding="utf-8")
    monkeypatch.setenv("GRADED_PRICES", str(over))
    found = prices.load()
    assert (found.of(GPT).input, found.batch) == (1, 0.5)
    assert found.of(GPT.model_copy(update={"model": "gpt-4.1-2025-04-14"})).input == 2
    over.write_text("models: {}\n", encoding="utf-8")
    with pytest.raises(ParamError, match=r"ours\.yaml: date is missing"):
        prices.load()
