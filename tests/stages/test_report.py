"""Stage report: the page of a run, its files, its size."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest

from graded.errors import MissingError
from graded.stages import report
from tests.run import write_run

pytestmark = pytest.mark.xdist_group("vega")


def test_a_run_becomes_a_page_figures_and_tables(here: Path) -> None:
    write_run(here, languages=("fi", "ar"))
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "add", "params.yaml"], check=True)
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", *identity, "commit", "-qm", "start"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:12]
    report.main()
    page = Path("report/index.html").read_text(encoding="utf-8")
    for text in (
        "A run at τ = 2",
        head,
        "of code, prompts and parameters",
        "All 120 graded pairs.",
        "κ 0.71 [0.62, 0.79]",
    ):
        assert text in page, text
    assert "graded sweep figure5" in page
    names = {path.name for folder in ("figures", "plots") for path in Path("report", folder).iterdir()}
    assert {path.suffix for path in Path("report/plots").iterdir()} == {".png"}
    for name in ("figure2", "figure3", "figure4", "comparison-sample", "matrix-sample"):
        assert {f"{name}.svg", f"{name}.png", f"{name}.vl.json"} <= names
    with Path("report/tables/metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    record = json.loads(Path("metrics/evaluate.json").read_text(encoding="utf-8"))
    first = next(
        row for row in rows if (row["set"], row["language"], row["metric"]) == ("sample", "Finnish", "nDCG@10")
    )
    assert float(first["fine-tuned"]) == pytest.approx(record["sample"]["fi"]["nDCG@10"])
    with Path("params.yaml").open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert report.commit().note == "with uncommitted changes"


def test_one_annotator_and_one_language(here: Path) -> None:
    write_run(here, languages=("ja",), annotators=("a",), cross=False)
    report.main()
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert "One annotator graded" in page
    assert "Across languages, sample" not in page
    assert not (here / "report/figures/figure4.svg").exists()


def test_what_is_missing_is_named_and_nothing_is_written(here: Path) -> None:
    write_run(here, languages=("fi",))
    Path("metrics/agree.json").unlink()
    with pytest.raises(MissingError, match=r"no metrics/agree\.json here; 'dvc repro' makes it"):
        report.main()
    assert not Path("report").exists()


@pytest.mark.slow
def test_300_000_graded_pairs_stay_under_10_megabytes(here: Path) -> None:
    write_run(here, languages=("ja",), pairs=300_000, words=900, cross=False)
    report.main()
    page = Path("report/index.html")
    assert 2_500_000 < page.stat().st_size < 10_000_000
    text = page.read_text(encoding="utf-8")
    assert "A sample of 1,200 of 300,000 graded pairs" in text
    assert "Passages are cut at 700 characters." in text
