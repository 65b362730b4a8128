"""`graded scale`: counted by hand, and the tables and examples that the docs show."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from graded.experiments import scale
from tests.closure import ROOT


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> scale.Facts:
    monkeypatch.chdir(ROOT)
    return scale.Facts()


def test_models_and_passages_by_hand(facts: scale.Facts) -> None:
    found = scale.runs(facts)
    assert len(found) == 108 + 108 + 60 + 15
    assert len({run.training for run in found}) == 108 + 108 + 48, "Table 1's and Figure 7's own are Figure 5's"
    fi = next(run for run in found if run.target == "fi")
    assert scale.encoded(facts, fi, scale.Way()) == {"miracl": 1883509}
    assert scale.encoded(facts, fi, scale.Way(pool=True)) == {"miracl": 1271 * 110}


def test_batches_cost_half(facts: scale.Facts) -> None:
    batch, online = (sum(p.dollars for p in scale.parts(facts, scale.Way(batch=way))) for way in (True, False))
    assert batch == pytest.approx(online / 2)


def test_examples_parse() -> None:
    for path in (ROOT / "examples/slurm").glob("*.sbatch"):
        subprocess.run(["bash", "-n", str(path)], check=True)
    task = yaml.safe_load((ROOT / "examples/skypilot.yaml").read_text(encoding="utf-8"))
    assert {"resources", "setup", "run", "workdir"} <= set(task)
    assert Path(ROOT / "docs/scale.md").is_file()
