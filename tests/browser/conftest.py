"""Headless Chromium, axe-core, and a page that the report stage made."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from graded.stages import report
from tests.analysis import made
from tests.run import write_run

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()  # noqa: SIM905
AXE = "axe-core@4.14.1"
#: Does harm in HTML, in an attribute, in a script and in a style, if it is not kept as text; ends in a long word.
HOSTILE = (
    "</script><script>window.harm=1</script><img src=x onerror='window.harm=2'>\"><svg onload=window.harm=3>{{7*7}}"
    f" {'meta_llama_3_1_70b_instruct_' * 3}"
)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run in three languages with sweeps in two; hostile texts wherever a text can come from outside."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, languages=("fi", "ar", "ja"), hostile=HOSTILE)
    found = [*made.table1(), *made.figure7(), *made.objectives()]
    rows = [row | {"annotator": HOSTILE} for row in found if row["query_lang"] in ("ar", "en")]
    with working_in(folder):
        report.write(Path("report"), rows)
    return folder / "report" / "index.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with a fresh profile; Playwright's event loop ends with the module, other tests have their own."""
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is absent; install it with: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(root: Path) -> str:
    """The script of axe-core, which npm fetches once into .work/."""
    folder = root / ".work" / "npm"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        if not shutil.which("npm"):
            pytest.skip("npm is not here, so axe-core cannot be fetched")
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", AXE]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode or not script.is_file():
            pytest.skip(f"npm could not fetch {AXE}: {done.stderr.strip().splitlines()[-1:]}")
    return script.read_text(encoding="utf-8")
