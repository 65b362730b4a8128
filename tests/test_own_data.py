"""docs/own-data.md, command by command, in a clone: from a CSV to a calibrated model, the stand-in as the LLM."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from tests import clones, pages
from tests.conftest import ROOT

PAGE = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
BLOCKS = pages.blocks("docs/own-data.md")
#: Less training, so that the test takes minutes.
QUICK = {"train": {"epochs": 1, "batch_size": 16}, "evaluate": {"resamples": 200}, "sample": {"size": 40}}


def test_the_page_goes_through_all_six_steps() -> None:
    commands = "\n".join(BLOCKS)
    for one in ("import", "profile own-data", "profile rehearsal", "estimate", "ledger status", "summary", "calibrate"):
        assert f"graded {one}" in commands
    assert max(map(len, "".join(re.findall(r"```(?:bash|text)\n(.*?)```", PAGE, re.DOTALL)).splitlines())) <= 120


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_the_page(tmp_path: Path) -> None:
    target = clones.clone(tmp_path / "graded")
    pages.install(target)
    assert clones.run(target, "dvc", "pull", "--quiet", "data/ledger.dvc").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    profile = target / "profiles/rehearsal.yaml"
    profile.write_text(profile.read_text(encoding="utf-8").replace("8123", port), encoding="utf-8")
    clones.lay(profile, QUICK)
    code, said = pages.run(target, pages.script(BLOCKS).replace("8123", port), timeout=1700)
    assert code == 0, said[-4000:]
    for words in (
        "120 passages, 80 queries",
        "judged queries:",
        "rehearsal",
        "replies to buy",
        "nDCG@10",
        "use it: dvc exp run",
    ):
        assert words in said, words
    assert "Traceback" not in said
    assert set(json.loads((target / "metrics/evaluate.json").read_text())) == {"own", "own-dev"}
    assert (target / "results/calibrate.json").exists()
