"""Training data and runs for tests: made-up graded pairs, and `accelerate launch` in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

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


def launch(folder: Path, *, processes: int = 1, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the stage in ``folder`` as dvc.yaml does, on one thread a process."""
    several = ["--cpu", "--num_processes", str(processes), "--num_machines", "1"] if processes > 1 else []
    command = ["-m", "accelerate.commands.launch", "--quiet", "--config_file", "accelerate.yaml", *several]
    return subprocess.run(
        [sys.executable, *command, "-m", "graded.stages.train"],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def trainer(folder: Path, group: Any = None, seed: int = 5, **train: Any) -> Any:
    """Return a trainer in this process on the layout of :func:`write` with its encoder in data/encoder."""
    from graded.retrieval import description
    from graded.retrieval.tokens import Tokenizer
    from graded.retrieval.training import setup
    from graded.retrieval.training.group import Group
    from graded.retrieval.training.pairs import read_pairs
    from graded.retrieval.training.settings import Settings

    values = {"batch_size": 8, "budget": "steps", "steps": 4, "learning_rate": 1e-3, "dropout": 0.0, "threads": 1}
    chosen = Settings.model_validate(values | train)
    encoder = folder / "data" / "encoder"
    record = description.read(encoder)
    drawn = setup.source(chosen, read_pairs(folder / "data" / "pair.parquet"), seed)
    model, tokenizer = setup.model(chosen, encoder, seed), Tokenizer(encoder, record.max_length)
    return setup.trainer(chosen, model, tokenizer, record, drawn, seed, group or Group())


def curve(made: Any) -> list[float]:
    """Run ``made`` to its end and return its losses."""
    losses: list[float] = []
    made.start()
    made.run(0, lambda event: losses.append(event.loss))
    return losses
