"""A metric under any of its names: over a pool, by an approximate index."""

from __future__ import annotations

from graded.analysis import catalogue, variants
from graded.analysis.page import sections
from graded.analysis.page.blocks import Data, Drawing
from tests.analysis import made


def test_names_are_taken_apart_and_found() -> None:
    assert variants.exact("nDCG@10-pool-hnsw") == "nDCG@10-pool"
    assert variants.plain("nDCG@10-pool-hnsw") == variants.plain("nDCG@10-ivf") == "nDCG@10"
    assert variants.forms("nDCG@10")[0] == "nDCG@10"
    assert len(variants.forms("nDCG@10")) == 6
    assert variants.forms("nDCG@10-pool") == ("nDCG@10-pool", "nDCG@10-pool-hnsw", "nDCG@10-pool-ivf")
    assert variants.forms("nDCG@10-hnsw") == ("nDCG@10-hnsw",)


def test_a_reader_is_told_what_stands_behind_a_name() -> None:
    assert variants.told(["nDCG@10", "MRR@10"]) == ""
    said = variants.told(["nDCG@10-pool-hnsw", "MRR@10-ivf"])
    assert "-pool: judged passages" in said
    assert "-hnsw, -ivf: an approximate index (HNSW or IVF) searched; it misses some passages." in said


def test_figures_and_tables_find_a_metric_under_its_other_names() -> None:
    """One set searched exactly, one over a pool, one by an approximate index beside which BM25 is exact."""
    exact = made.figure5()
    pooled = [row | {"set": "pooled", "metric": "nDCG@10-pool"} for row in exact]
    quick = [row | {"set": "quick", "metric": "nDCG@10-hnsw"} for row in exact]
    words = [row | {"set": "quick", "system": "bm25"} for row in exact if row["system"] == "base"]
    rows = [*exact, *pooled, *quick, *words]
    assert catalogue.primary(quick + words) == "nDCG@10"
    figures = {figure.name: figure for figure in catalogue.figures(rows)}
    assert list(figures) == ["curves-gpt-4o-miracl", "curves-gpt-4o-pooled-pool", "curves-gpt-4o-quick-hnsw"]
    assert "approximate index (HNSW)" in figures["curves-gpt-4o-quick-hnsw"].caption
    assert "approximate" not in figures["curves-gpt-4o-miracl"].caption
    assert all(len(figure.rows) == len(figures["curves-gpt-4o-miracl"].rows) for figure in figures.values())
    assert [table.name for table in catalogue.tables(made.table1()) if table.name.startswith("table1")]
    mixed = [row | {"metric": "nDCG@10-ivf"} for row in made.table1()]
    (table,) = (one for one in catalogue.tables(mixed) if one.name.startswith("table1"))
    assert all(cell.published is None for row in table.rows for cell in row)  # others searched exactly


def test_the_page_of_a_run_that_an_approximate_index_searched() -> None:
    one = [row for row in made.figure5((150_000,)) if row["tau_target"] == 2]
    quick = [row | {"metric": "nDCG@10-hnsw", "p_holm": 0.01} for row in one]
    words = [row | {"system": "bm25", "value": 0.321, "p_holm": None} for row in one if row["system"] == "base"]
    section = sections.results(quick + words, ["miracl"], "nDCG@10")
    drawing = next(block for block in section.blocks if isinstance(block, Drawing))
    assert {row["system"] for row in drawing.figure.rows} == {"base", "tuned", "bm25"}
    assert "approximate index (HNSW)" in drawing.figure.caption
    table = next(block for block in section.blocks if isinstance(block, Data) and block.name == "metrics")
    assert {row[2] for row in table.rows} == {"nDCG@10-hnsw"}
    assert all(row[4] == ("0.3210", 0.321) for row in table.rows)
    said = sections.lead(quick + words, "miracl", "nDCG@10", "2")
    assert "took nDCG@10-hnsw on miracl" in said
    assert said.endswith("it misses some passages.")
