"""docs/tutorial.md, command by command, in a clone: a smaller run of the same stages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import clones, pages
from tests.conftest import ROOT

BLOCKS = pages.blocks("docs/tutorial.md")
SMALL = {"languages": ["fi", "en"], "pair": {"size": 150}, "train": {"budget": "steps", "steps": 4, "batch_size": 16}}


def test_the_page_goes_through_the_round() -> None:
    commands = "".join(BLOCKS)
    for one in ("make repro", "graded doctor", "tau=3", "graded compare", "graded review", "graded estimate"):
        assert one in commands
    page = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    printed = "".join(re.findall(r"```text\n(.*?)```", page, re.DOTALL)).splitlines()
    assert max(map(len, printed)) <= 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_the_page(tmp_path: Path) -> None:
    target = clones.clone(tmp_path / "graded")
    clones.lay(target / "params.yaml", SMALL)
    clones.commit(target, "small")
    pages.install(target)
    make = "graded ledger pull; dvc repro --quiet; git add --all; git commit --quiet --message ran\n"
    script = pages.script(BLOCKS).replace("make repro\n", make).replace(". .venv/bin/activate\n", "")
    code, said = pages.run(target, script, timeout=1700)
    assert code == 0, said[-4000:]
    for words in (
        "next: graded summary",
        "best chess players",
        "Ran experiment(s): strict",
        "B - A",
        "within noise",
        "12 experiments",
        "Queued experiment",
        "replies to buy",
        "exit code",
        "up to date",
    ):
        assert words in said, words
    assert "Traceback" not in said
