"""`graded figures` and `graded report` from a results table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from graded.cli import figures as command
from graded.errors import DataError, ParamError
from graded.experiments import scores, tidy
from tests.analysis import made
from tests.run import write_run

pytestmark = pytest.mark.xdist_group("vega")


@pytest.fixture
def results(here: Path) -> Path:
    rows = [row for row in made.table1() if row["target"] == "fi" and row["extra"] in (None, "ar")]
    path = Path("results.parquet")
    tidy.write(path, rows)
    arms: list[dict[str, Any]] = [
        {name: row[name] for name in tidy.KEY} | {"query_id": f"q{at}", "value": (0.9 if row["extra"] else 1) * at / 50}
        for row in rows
        for at in range(1, 41)
    ]
    tidy.write(scores.beside(path), arms, tidy.SCORES)
    return path


def test_figures_and_tables_are_remade_with_paired_intervals(results: Path) -> None:
    command.figures(results, Path("figures"))
    assert not list(Path("figures").glob("curves*"))
    with Path("figures/table1-gpt-4o.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cell = next(row for row in rows if (row["Target"], row["Added"], row["column"]) == ("fi", "ar", "τ = 1"))
    assert float(cell["low"]) == pytest.approx(-10)
    assert float(cell["published"]) == -16.2
    command.figures(results, Path("figures"))


def test_the_page_with_sweeps(results: Path, tmp_path: Path) -> None:
    write_run(tmp_path, languages=("fi",), cross=False)
    tidy.write(results, [row for row in made.figure5((50_000, 150_000)) if row["target"] == "en"])
    command.report(results, Path("findings"))
    page = Path("findings/index.html").read_text(encoding="utf-8")
    assert "What the threshold changed" in page
    assert "Thresholds and size, grades of gpt-4o" in page
    assert "graded sweep figure5 " not in page
    assert "graded sweep table1" in page
    assert Path("findings/plots/curves-gpt-4o.png").is_file()


def test_nothing_else_is_replaced(results: Path) -> None:
    Path("metrics").mkdir()
    Path("metrics/evaluate.json").write_text("{}", encoding="utf-8")
    for out in ("metrics", "results.parquet"):
        with pytest.raises(ParamError, match="--out received"):
            command.figures(results, Path(out))
    with pytest.raises(ParamError, match="dvc repro report"):
        command.report(None, Path("report"))
    assert Path("metrics/evaluate.json").is_file()


def test_an_empty_table_names_the_way_on(results: Path) -> None:
    tidy.write(results, [])
    with pytest.raises(DataError, match="graded results"):
        command.figures(results, Path("figures"))
