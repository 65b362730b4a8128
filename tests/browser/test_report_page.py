"""The report page in headless Chromium: offline, quiet, by keyboard, accessible, at any width, in both themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("chromium")

Open = Callable[..., Any]


@pytest.fixture
def open_page(chromium: Any, report_page: Path) -> Iterator[Open]:
    """Open the page; at the end it must have been quiet and asked for nothing but itself."""
    contexts = []
    noise: list[str] = []

    def opened(width: int = 1200, theme: str = "light", **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, **options)
        contexts.append(context)
        page = context.new_page()
        address = report_page.as_uri()
        page.on("console", lambda message: noise.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: noise.append(f"error: {error}"))
        page.on("dialog", lambda dialog: noise.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: None if request.url == address else noise.append(f"request: {request.url}"))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert noise == []


@pytest.mark.parametrize("width", [320, 768, 1600])
def test_nothing_is_wider_than_the_window(open_page: Open, width: int) -> None:
    page = open_page(width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("h1").is_visible()


def test_hostile_texts_stay_texts(open_page: Open) -> None:
    page = open_page()
    assert page.evaluate("window.harm") is None
    page.locator("[name=text]").fill("window.harm=1")
    assert page.locator("[data-cards] .query").first.inner_text().startswith("</script><script>window.harm=1")
    assert page.evaluate("window.harm") is None
    assert page.locator("script").count() == 2
    assert page.locator("main img").count() == 0


def test_a_table_is_sorted_and_searched_by_keyboard(open_page: Open) -> None:
    page = open_page()
    table = page.locator("[data-table]", has=page.locator("h3", has_text="All metrics"))
    head = table.locator("th", has_text="fine-tuned")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    at = head.evaluate("head => head.cellIndex")
    values = [float(text) for text in table.locator(f"tbody td:nth-child({at + 1})").all_inner_texts()]
    assert len(values) == 18
    assert values == sorted(values)
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Space")
    table.locator("[data-search]").fill("arabic mrr")
    assert table.locator("[data-found]").inner_text() == "2 of 18 rows"
    shown = table.locator("tbody tr:visible").all_inner_texts()
    assert len(shown) == 2
    assert all("Arabic" in text and "MRR@10" in text for text in shown)


def test_numbers_sort_as_numbers_and_empty_cells_stand_last(open_page: Open) -> None:
    page = open_page()
    table = page.locator("[data-table]", has=page.locator("h3", has_text="Experiments"))
    head = table.locator("th", has_text="pairs")
    head.locator("button").click()
    at = head.evaluate("head => head.cellIndex")
    texts = table.locator(f"tbody td:nth-child({at + 1})").all_inner_texts()
    numbers = [int(text.replace(",", "")) for text in texts]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 300_000


def test_examples_are_browsed_by_language_grade_and_disagreement(open_page: Open) -> None:
    page = open_page()
    found, cards = page.locator(".browser [data-found]"), page.locator("[data-cards] > li")
    assert found.inner_text() == "180 of 180 examples"
    assert cards.count() == 12
    page.get_by_role("button", name="Next").click()
    assert page.locator("[data-place]").inner_text() == "2 of 15"
    page.locator("[name=lang]").select_option("ar")
    assert found.inner_text() == "60 of 180 examples"
    assert page.locator("[data-place]").inner_text() == "1 of 5"
    assert set(page.locator("[data-cards] .passage").evaluate_all("all => all.map(one => one.lang)")) == {"ar"}
    page.locator("[name=annotator]").select_option("0")
    page.locator("[name=grade]").select_option("3")
    page.locator("[name=apart]").select_option("2")
    grades = page.locator("[data-cards] .about").all_inner_texts()
    assert grades
    assert all("a grade 3" in text and ("b grade 0" in text or "b grade 1" in text) for text in grades)
    page.locator("[name=text]").fill("no such words anywhere")
    assert found.inner_text() == "No example matches; widen the choice."
    assert cards.count() == 0


def test_arabic_runs_from_right_to_left(open_page: Open) -> None:
    page = open_page()
    page.locator("[name=lang]").select_option("ar")
    style = "one => getComputedStyle(one).direction"
    assert page.locator("[data-cards] .passage").first.evaluate(style) == "rtl"
    assert page.locator("[data-cards] .about").first.evaluate(style) == "ltr"
    page.locator("[name=lang]").select_option("fi")
    assert page.locator("[data-cards] .passage").first.evaluate(style) == "ltr"


def test_figures_and_page_follow_the_theme(open_page: Open) -> None:
    colours = """() => [getComputedStyle(document.body).backgroundColor,
                        getComputedStyle(document.querySelector('.panel svg text')).fill]"""
    light, dark = open_page(theme="light").evaluate(colours), open_page(theme="dark").evaluate(colours)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page = open_page(theme="light")
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(colours) == dark
    page.reload()
    assert page.evaluate(colours) == dark
    page.emulate_media(media="print")
    assert page.evaluate(colours) == light


def test_print_leaves_out_what_only_a_screen_needs(open_page: Open) -> None:
    page = open_page(theme="dark")
    page.emulate_media(media="print")
    for selector in (".contents", "[data-theme-switch]", ".tools", ".pager"):
        assert not page.locator(selector).first.is_visible()
    assert page.locator(".panel svg").first.is_visible()
    assert page.locator("[data-cards] > li").first.is_visible()
    assert page.locator("th button").first.evaluate("one => getComputedStyle(one).display") == "contents"
    assert len(page.pdf()) > 10_000


def test_a_mark_says_its_numbers(open_page: Open) -> None:
    page = open_page()
    mark = page.locator("#comparison-sample .panel svg path[aria-label*='tuned: nDCG@10']").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    assert page.locator("[data-tip]").inner_text() == mark.get_attribute("aria-label")


def test_it_reads_without_javascript(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator("#results .panel svg").first.is_visible()
    assert page.locator("noscript").count() == 1


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious(open_page: Open, axe: str, theme: str) -> None:
    page = open_page(theme=theme, bypass_csp=True)
    for details in page.locator("details").all()[:2]:
        details.locator("summary").click()
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        f"{one['impact']} {one['id']}: {one['help']}: {node['html'][:160]}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]
    assert told == []
