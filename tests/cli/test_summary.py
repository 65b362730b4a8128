"""`graded summary` on records that evaluate writes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from graded.cli.summary import summary
from graded.errors import MissingError, ParamError
from graded.formats import atomic, table

LANGUAGES = ("fi", "ar", "ja", "ru", "es", "en")


def part(tuned: float, base: float, p: float) -> dict[str, Any]:
    names = ("nDCG@10", "nDCG@100", "MRR@10", "MRR@100", "recall@100")
    gap = {"nDCG@10": {"mean": tuned - base, "low": 0.0, "high": 0.1, "p": p, "p_holm": p}}
    return {
        **dict.fromkeys(names, tuned),
        "queries": 72,
        "base": dict.fromkeys(names, base),
        "bm25": dict.fromkeys(names, 0.4321),
        "difference": gap,
    }


@pytest.fixture
def folder(here: Path) -> Path:
    (here / "params.yaml").write_text("tau: {default: 2, fi: 1.5}\nlanguages: [fi, ar]\n")
    one = {lang: part(0.61234, 0.5, 0.001 if lang == "fi" else 0.2) for lang in LANGUAGES}
    one |= {"mean": part(0.6, 0.5, 1), "fi-ar": part(0.4, 0.3, 0.01), "mean-cross": part(0.4, 0.3, 1)}
    atomic.write_json(Path("metrics/evaluate.json"), {"dev": {"fi": part(0.1, 0.2, 1)}, "toy": one})
    atomic.write_json(Path("data/benchmark/dev/benchmark.json"), {"role": "dev"})
    atomic.write_json(Path("data/benchmark/toy/benchmark.json"), {"role": "test"})
    rows = [("fi", True), ("fi", False), ("ar", True)]
    schema = pa.schema([("lang", pa.string()), ("positive", pa.bool_())])
    table.write_rows(Path("data/pair.parquet"), schema, rows)
    for stage, reused, bought, dollars in (("query", 10, 2, 0.125), ("grade", 1200, 3, 0.375)):
        run = {"stage": stage, "reused": reused, "bought": bought, "dollars": dollars}
        atomic.write_json(Path(f".ledger/runs/{stage}.json"), run)
    return here


def test_replies_of_another_run_are_not_those_in_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The note of stage grade tells of 1,203 rows; the two that are here came from DVC's cache."""
    schema = pa.schema([("query_id", pa.string())])
    table.write_rows(Path("data/grade/a/fi.parquet"), schema, [("q1",), ("q2",)])
    summary()
    assert "dollars spent  0.12 (2 replies bought, 12 reused)" in capsys.readouterr().out


def test_every_figure_is_shown_within_100_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary()
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    for lang in LANGUAGES:
        assert re.search(rf"^ *{lang} .*0\.5000 → 0\.6123.*0\.5000 → 0\.6123.*\+0\.1123. +0\.4321 +72", shown, re.M), (
            shown
        )
    assert re.search(r"^ *fi .*\+0\.1123\* ", shown, re.M)
    assert "fi-ar" not in shown
    assert "dev" not in shown
    assert re.search(r"^tau +2, fi 1\.5$", shown, re.M)
    assert re.search(r"^pairs +3, 2 of them positive$", shown, re.M)
    assert re.search(r"^dollars spent +0\.50 \(5 replies bought, 1,210 reused\)$", shown, re.M)


def test_a_pools_metrics_are_the_same_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("metrics/evaluate.json")
    path.write_text(re.sub(r'("(?:nDCG|MRR|recall)@\d+)"', r'\1-pool"', path.read_text(encoding="utf-8")))
    summary()
    head = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("language"))
    assert head.split()[1:4] == ["nDCG@10-pool", "MRR@10-pool", "recall@100-pool"]


def test_a_pool_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atomic.write_json(Path("data/benchmark/toy/benchmark.json"), {"role": "test", "pool": 100})
    summary()
    assert "over a pool (judged passages and the base's first 100; gains look larger)" in capsys.readouterr().out


def test_published_figures_stand_beside_marked_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"miracl": {lang: part(0.61234, 0.5, 0.2) for lang in LANGUAGES}}
    atomic.write_json(Path("metrics/evaluate.json"), record)
    summary()
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert re.search(r"fine-tuned +0\.612( +0\.612){5} +measured", shown)
    assert re.search(r"mContriever +0\.602 +0\.525 .* published: Pyserini", shown)


def test_directions_and_one_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary(name="dev", directions=True)
    assert "-0.1000" in capsys.readouterr().out
    summary(directions=True)
    assert "fi-ar" in capsys.readouterr().out


def test_a_wrong_set_and_no_metrics(folder: Path) -> None:
    with pytest.raises(ParamError, match="did you mean 'toy'"):
        summary(name="toi")
    Path("metrics/evaluate.json").unlink()
    with pytest.raises(MissingError, match="'dvc repro' makes it"):
        summary()


def test_nothing_heavy_is_imported(folder: Path) -> None:
    code = "import sys; from graded.cli.summary import summary; summary()"
    code += "; print({'torch', 'ranx', 'transformers', 'openai', 'scipy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("set()\n"), done.stdout + done.stderr


def test_bm25_is_exact_beside_an_approximate_index(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = part(0.6, 0.5, 1)
    named = {f"{name}-hnsw": 0.6 for name in one["base"]}
    approximate = {**named, "queries": 72, "base": named, "bm25": one["bm25"], "difference": {}}
    atomic.write_json(Path("metrics/evaluate.json"), {"toy": {"fi": approximate}})
    summary()
    said = capsys.readouterr().out
    assert "nDCG@10-hnsw" in said
    assert "0.4321" in said
