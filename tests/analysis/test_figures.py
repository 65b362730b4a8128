"""Figures: they hold the rows' numbers, compile without a network, and become SVG that is safe inside a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from graded.analysis import (
    catalogue,
    figures_across,
    figures_data,
    figures_draw,
    figures_run,
    figures_sweep,
    figures_theme,
)
from graded.analysis.figures import Figure, Panel, figure_spec, panel_spec, slug
from tests.analysis import made

pytestmark = pytest.mark.xdist_group("vega")


def drawn(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [
        figures_draw.inline(figures_draw.svg(panel_spec(panel)), f"p{at}-") for at, panel in enumerate(figure.panels)
    ]


def labels(svg: str) -> set[str]:
    return set(re.findall(r'aria-label="([^"]*)"', svg))


def test_figure_5_has_a_panel_a_language_and_every_number() -> None:
    figure = figures_sweep.curves(made.sweep(), "gpt-4o", "miracl", "nDCG@10")
    assert figure is not None
    assert [panel.title for panel in figure.panels] == [
        "Finnish",
        "Arabic",
        "Japanese",
        "Russian",
        "Spanish",
        "English",
    ]
    assert len(figure.rows) == 6 * 3 * 3
    assert [key.label for key in figure.legend] == ["τ = 1", "τ = 2", "τ = 3", "base encoder"]
    said = labels(drawn(figure._replace(panels=figure.panels[:1]))[0])
    value = made.value("fi", "fi", 2.0, 50_000)
    assert f"Finnish, τ 2, 50,000 pairs: nDCG@10 {value:.4f} [{value - 0.012:.4f}, {value + 0.012:.4f}]" in said
    assert f"base encoder: nDCG@10 {made.base('fi', 'fi'):.4f}" in said


def test_seeds_of_an_arm_are_one_point() -> None:
    rows = made.figure5() + [row | {"seed": 14, "value": row["value"] + 0.02, "high": 0.9} for row in made.figure5()]
    figure = figures_sweep.curves(rows, "gpt-4o", "miracl", "nDCG@10")
    assert figure is not None
    first = figure.rows[0]
    assert (first["seeds"], first["value"], first["high"]) == (
        2,
        pytest.approx(made.value("fi", "fi", 1, 50_000) + 0.01),
        0.9,
    )


def test_mixtures_other_annotators_and_one_size_are_no_curve() -> None:
    assert figures_sweep.curves(made.figure5(), "gemma-3-27b", "miracl", "nDCG@10") is None
    assert figures_sweep.curves(made.figure5((50_000,)), "gpt-4o", "miracl", "nDCG@10") is None
    figure = figures_sweep.curves(made.sweep(), "gpt-4o", "miracl", "nDCG@10")
    assert figure is not None
    assert {row["size"] for row in figure.rows} == {50_000, 150_000, 300_000}
    assert max(row["value"] for row in figure.rows if row["language"] == "Finnish") == made.value(
        "fi", "fi", 1, 300_000
    )


def test_figure_7_has_both_directions_of_every_pair() -> None:
    figure = figures_across.across(made.sweep(), "gpt-4o", "clirmatrix", "nDCG@10")
    assert figure is not None
    assert len(figure.panels) == 10
    assert len(figure.rows) == 10 * 2 * 3
    said = labels(drawn(figure._replace(panels=figure.panels[:1]))[0])
    assert any(label.startswith(f"ja → ar, τ 3: nDCG@10 {made.value('ja', 'ar', 3, 300_000):.4f}") for label in said)
    assert figures_across.across(made.figure5(), "gpt-4o", "miracl", "nDCG@10") is None


def test_figures_3_and_4_count_what_is_no_grade_and_normalise_rows() -> None:
    grades = figures_data.grades(made.grades())
    assert grades is not None
    refused = [row for row in grades.rows if row["grade"] == "not graded"]
    assert [(row["language"], row["pairs"]) for row in refused] == [("Arabic", 31)]
    for annotator in ("a", "b"):
        shares = [row["share"] for row in grades.rows if (row["annotator"], row["language"]) == (annotator, "Arabic")]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
    agreement = figures_data.agreement(made.agreement(), {"fi": "κ 0.71 [0.65, 0.76]"})
    assert agreement is not None
    assert agreement.panels[0].title == "Finnish   κ 0.71 [0.65, 0.76]"
    rows = [row for row in agreement.rows if row["language"] == "Finnish" and row["first"] == 0]
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-3)
    assert any("a 0, b 0: 81%" in label for label in labels(drawn(agreement)[0]))


def test_one_run_is_compared_with_its_base() -> None:
    rows = [row for row in made.figure7() if row["tau_target"] == 3]
    figure = figures_run.comparison(rows, "clirmatrix", "nDCG@10")
    assert figure is not None
    assert len(figure.panels) == 2
    gaps = labels(drawn(figure)[1])
    gap = made.value("ar", "ar", 3, 300_000) - made.base("ar", "ar")
    assert f"Arabic: {gap:+.4f} [{gap - 0.01:+.4f}, {gap + 0.01:+.4f}]" in gaps
    sure = figures_run.comparison([row | {"p_holm": 0.2} for row in rows], "clirmatrix", "nDCG@10")
    assert sure is not None
    green = '"side": "good"'
    assert green in json.dumps(figure.panels[1].chart.to_dict())
    assert green not in json.dumps(sure.panels[1].chart.to_dict())
    matrix = figures_run.matrix(rows, "clirmatrix", "nDCG@10")
    assert matrix is not None
    assert len(matrix.rows) == 25
    assert figures_run.matrix(made.figure5(), "miracl", "nDCG@10") is None


def test_nothing_to_draw_is_none() -> None:
    assert figures_data.documents({}) is None
    assert figures_data.grades([]) is None
    assert figures_data.agreement([]) is None
    assert figures_run.comparison([], "miracl", "nDCG@10") is None
    assert list(catalogue.figures([])) == []
    assert list(catalogue.tables([])) == []


def test_encoders_are_never_one_line() -> None:
    rows = made.figure5() + [row | {"encoder": "other"} for row in made.figure5()]
    names = [figure.name for figure in catalogue.figures(rows)]
    assert names == ["curves-gpt-4o", "curves-gpt-4o-2"]


def test_runs_of_another_budget_are_no_seeds_of_an_arm() -> None:
    long = made.figure5(recipe="2 epochs #aaaaaaa")
    short = [row | {"experiment": f"short {row['experiment']}", "value": 0.1} for row in made.figure5((150_000,))]
    figures = list(catalogue.figures(long + [row | {"recipe": "10 steps #aaaaaaa"} for row in short]))
    assert [figure.name for figure in figures] == ["curves-gpt-4o"]
    assert {row["seeds"] for row in figures[0].rows} == {1}
    assert figures[0].caption.endswith("Trained for 2 epochs.")


def test_titles_tell_figures_of_one_kind_apart() -> None:
    arms = made.figure5(recipe="1 epochs #aaaaaaa") + made.figure5(annotator="gpt-4", recipe="1 epochs #aaaaaaa")
    longer = [row | {"experiment": f"x {row['experiment']}", "recipe": "3 epochs #bbbbbbb"} for row in made.figure5()]
    rows = arms + longer + [row | {"set": "miracl-dev"} for row in longer]
    titles = [figure.title for figure in catalogue.figures(rows)]
    assert titles == [
        "Thresholds and size, grades of gpt-4o, miracl, 1 epoch",
        "Thresholds and size, grades of gpt-4, miracl, 1 epoch",
        "Thresholds and size, grades of gpt-4o, miracl, 3 epochs",
        "Thresholds and size, grades of gpt-4o, miracl-dev, 3 epochs",
    ]
    assert [figure.title for figure in catalogue.figures(made.figure5())] == ["Thresholds and size, grades of gpt-4o"]


def test_a_figure_becomes_three_files(tmp_path: Path) -> None:
    figure = figures_data.documents({"fi": 80, "ar": 80})
    assert figure is not None
    files = figures_draw.save(figure._replace(name="../fig ure"), tmp_path)
    assert [path.name for path in files] == ["_fig_ure.vl.json", "_fig_ure.svg", "_fig_ure.png"]
    assert json.loads(files[0].read_text(encoding="utf-8")) == figure_spec(figure)
    assert files[2].read_bytes().startswith(b"\x89PNG")
    assert "1,883,509 in MIRACL" in files[1].read_text(encoding="utf-8")
    assert slug("..") == "_"


def test_inline_svg_follows_the_theme_and_keeps_nothing_foreign() -> None:
    figure = figures_data.documents({"fi": 80})
    light = {token.light for token in figures_theme.TOKENS.values()}
    for svg in drawn(figure):
        assert not light & set(re.findall(r"#[0-9a-f]{6}", svg))
        assert "var(--one)" in svg
    hostile = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10" viewBox="0 0 10 10" onload="x()">'
        '<script>x()</script><foreignObject><p>x</p></foreignObject><image href="http://x"/>'
        '<a href="javascript:x()"><text>t</text></a>'
        '<g clip-path="url(#c)"><path id="c" onclick="x()" d="M0,0"/></g></svg>'
    )
    clean = figures_draw.inline(hostile, "p-")
    assert not re.search(r"script|foreign|image|href|on(load|click)|x\(\)", clean)
    assert 'clip-path="url(#p-c)"' in clean
    assert 'id="p-c"' in clean


def test_names_from_outside_are_escaped_in_a_drawing() -> None:
    import altair as alt

    evil = "</text><script>alert(1)</script>"
    chart = alt.Chart(alt.Data(values=[{"x": 1, "name": evil}])).mark_point().encode(y="name:N", description="name:N")
    root = ElementTree.fromstring(drawn(Figure("n", "t", "c", (Panel("", chart),)))[0])
    assert evil in "".join(root.itertext())
    assert not [element for element in root.iter() if "script" in str(element.tag)]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    colours = {name: getattr(token, theme) for name, token in figures_theme.TOKENS.items()}
    paper = luminance(colours["surface"])
    for name in ("ink", "muted"):
        assert ratio(luminance(colours[name]), paper) >= 4.5, name
    for name in (*figures_theme.SERIES, "good", "bad"):
        assert ratio(luminance(colours[name]), paper) >= 3.0, name
    # Ink over the strongest cells of heat maps and tables, which are this much colour.
    for name, share in (("heat", 0.75), ("good", 0.48), ("bad", 0.48)):
        mixed = blend(colours[name], colours["surface"], share)
        assert ratio(luminance(colours["ink"]), luminance(mixed)) >= 4.5, name
    assert len({token.light for token in figures_theme.TOKENS.values()}) == len(figures_theme.TOKENS)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one: float, two: float) -> float:
    return (max(one, two) + 0.05) / (min(one, two) + 0.05)


def blend(colour: str, paper: str, share: float) -> str:
    mixed: list[Any] = [
        round(share * int(colour[at : at + 2], 16) + (1 - share) * int(paper[at : at + 2], 16)) for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in mixed)
