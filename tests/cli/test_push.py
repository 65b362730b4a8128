"""`graded push-model`: what it would send, and what it refuses to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from graded.retrieval import description
from graded.retrieval.export import save_folder
from graded.retrieval.flat import FlatModel
from graded.retrieval.training import card
from tests import encoders

pytestmark = pytest.mark.xdist_group("push")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model's folder."""
    base = encoders.random_encoder(tmp_path_factory.mktemp("push") / "base", "xlm-roberta")
    save_folder(FlatModel.load(base), base, base.parent / "model", description.read(base), "# A model\n")
    return base.parent / "model"


def push(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = ["graded", "push-model", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_dry_run_lists_what_would_go_and_sends_nothing(model: Path) -> None:
    done = push("team/model", "--model", model, "--dry-run", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    for name in (
        "model.safetensors",
        "tokenizer.json",
        "encoder.json",
        "modules.json",
        "1_Pooling/config.json",
        "README.md",
    ):
        assert f"  {name}\n" in done.stdout
    assert "nothing was sent" in done.stdout
    assert "model card: results of metrics/evaluate.json, commit " in done.stdout


def test_the_card_is_completed_with_results_and_commit() -> None:
    row = {"nDCG@10": 0.5, "queries": 64, "base": {"nDCG@10": 0.25}, "difference": {"nDCG@10": {"mean": 0.25}}}
    have = card.completed("# A model\n\n## Use\n\ntext\n", {"sample": {"fi": row}}, "abc")
    want = "# A model\n\n## Results\n\n| sample: base, this model | nDCG@10 |\n|---|---|\n| fi | 0.2500, 0.5000 |\n\n"
    assert have == want + "Made by commit abc.\n\n## Use\n\ntext\n"
    assert card.completed(have, {}, None) == have


def test_results_that_are_no_json_are_one_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluate.json").write_text("{")
    done = push("team/model", "--model", model, "--dry-run", "--metrics", tmp_path / "evaluate.json")
    assert done.returncode == 1
    assert "evaluate.json is not JSON" in done.stderr


def test_a_hub_that_is_not_there_is_one_line(model: Path) -> None:
    done = push("team/model", "--model", model, HF_ENDPOINT="http://127.0.0.1:9", HF_TOKEN="hf_none")
    assert done.returncode == 1
    assert "hub: team/model was not pushed" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_none" not in done.stderr + done.stdout


def test_a_changed_file_and_a_bad_name_are_refused(model: Path, tmp_path: Path) -> None:
    import shutil

    changed = Path(shutil.copytree(model, tmp_path / "changed"))
    (changed / "config.json").write_text("{}")
    assert "config.json has sha256" in push("team/model", "--model", changed, "--dry-run").stderr
    assert "expected owner/model" in push("model", "--model", model, "--dry-run").stderr
    assert "no trained model's folder" in push("a/b", "--model", model.parent / "base", "--dry-run").stderr
