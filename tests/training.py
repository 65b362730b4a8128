"""Training data and runs for tests: made-up graded pairs, and `accelerate launch` in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from graded.formats import table
from tests import workspace

PAIRS = pa.schema(
    [
        ("lang", pa.string()), ("query_id", pa.string()), ("doc_id", pa.string()), ("grade", pa.float64()),
        ("positive", pa.bool_()), ("query", pa.string()), ("passage", pa.string()),
    ]
)  # fmt: skip
WORDS = {"fi": ["talo", "meri", "kivi", "puu", "tie", "yö"], "ar": ["بيت", "بحر", "حجر", "شجرة", "طريق", "ليل"]}


def passage(lang: str, number: int) -> str:
    """Return a passage whose words spell ``number``, so that one differs from another."""
    words = WORDS[lang]
    return " ".join(words[(number // 6**place) % 6] for place in range(4 + number % 5))


def pairs(queries: int = 12, languages: tuple[str, ...] = ("fi", "ar")) -> list[tuple[Any, ...]]:
    """Return rows of data/pair.parquet: each query with grades 3, 2, 1, 0 (and every third with a second 3)."""
    rows = []
    for lang in languages:
        for number in range(queries):
            grades = [3, 2, 1, 0] + ([3] if number % 3 == 0 else [])
            for place, grade in enumerate(grades):
                doc = number * 7 + place * 5
                rows.append(
                    (lang, f"{lang}-q{number}", f"{lang}-d{doc}", float(grade), grade >= 2,
                     f"{passage(lang, number)} ?", passage(lang, doc))
                )  # fmt: skip
    return rows


def write(folder: Path, rows: list[tuple[Any, ...]] | None = None, **train: Any) -> None:
    """Lay out params.yaml, data/pair.parquet, data/sample and accelerate.yaml for the stage train in ``folder``."""
    rows = pairs() if rows is None else rows
    table.write_rows(folder / "data" / "pair.parquet", PAIRS, rows)
    for lang in sorted({row[0] for row in rows}):
        sample = [(f"{lang}-d{number}", "", passage(lang, number)) for number in range(120)]
        table.write_rows(folder / "data" / "sample" / f"{lang}.parquet", table.PASSAGES, sample)
    workspace.write_params(folder, train=train)
    launcher = Path(__file__).resolve().parents[1] / "accelerate.yaml"
    (folder / "accelerate.yaml").write_text(launcher.read_text(encoding="utf-8"), encoding="utf-8")


def command(processes: int = 1) -> list[str]:
    """Return the command that runs the stage, as in dvc.yaml; several processes on a CPU start through torch's."""
    if processes > 1:
        launcher = ["torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(free_port())]
    else:
        launcher = ["accelerate.commands.launch", "--quiet", "--config_file", "accelerate.yaml"]
    return [sys.executable, "-m", *launcher, "-m", "graded.stages.train"]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def launch(folder: Path, *, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the stage in ``folder`` to its end."""
    return subprocess.run(
        command(processes), cwd=folder, env=os.environ | {"ACCELERATE_USE_CPU": "true"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def kill_after(folder: Path, run: list[str], step: int) -> None:
    """Start ``run`` in ``folder`` and kill -9 its process group once checkpoint ``step``, or a later one, is there."""
    process = subprocess.Popen(
        run, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 120
    while not any(int(path.name[5:]) >= step for path in folder.glob(".work/train/*/step-*")):
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def dvc_project(folder: Path) -> None:
    """Make ``folder`` a DVC project whose one stage is train, as dvc.yaml of this repository has it."""
    root = Path(__file__).resolve().parents[1]
    stage = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["train"]
    stage["deps"] = [path for path in stage["deps"] if not path.startswith("src/")]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}), encoding="utf-8")
    dvc = str(Path(sys.executable).with_name("dvc"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for run in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "config", "core.analytics", "false"],
                [*git, "commit", "-q", "-m", "start"]):  # fmt: skip
        subprocess.run(run, cwd=folder, check=True, capture_output=True)


def trainer(folder: Path, group: Any = None, seed: int = 5, **train: Any) -> Any:
    """Return a trainer in this process on the layout of :func:`write` with its encoder in data/encoder."""
    from graded.retrieval import description
    from graded.retrieval.tokens import Tokenizer
    from graded.retrieval.training import body, setup
    from graded.retrieval.training.group import Group
    from graded.retrieval.training.pairs import read_pairs
    from graded.retrieval.training.settings import Settings

    values = {"batch_size": 8, "budget": "steps", "steps": 4, "learning_rate": 1e-3, "dropout": 0.0, "threads": 1}
    chosen = Settings.model_validate(values | train)
    encoder = folder / "data" / "encoder"
    record = description.read(encoder)
    drawn = setup.source(chosen, read_pairs(folder / "data" / "pair.parquet"), seed)
    model, tokenizer = body.load(chosen, encoder, seed), Tokenizer(encoder, record.max_length)
    return setup.trainer(chosen, model, tokenizer, record, drawn, seed, group or Group())


def curve(made: Any) -> list[float]:
    """Run ``made`` to its end and return its losses."""
    losses: list[float] = []
    made.start()
    made.run(0, lambda event: losses.append(event.loss))
    return losses
