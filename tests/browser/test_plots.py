"""`dvc plots show` in headless Chromium: the curves are there, and nothing is loaded."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from graded.analysis import offline

pytestmark = pytest.mark.xdist_group("chromium")


@pytest.mark.slow
def test_curves_need_no_network(chromium: Any, tmp_path: Path) -> None:
    def run(*command: str) -> None:
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    run("git", "init", "--quiet")
    run("dvc", "init", "--quiet")
    rows = "".join(f"{step}\t{1 / step}\n" for step in range(1, 9))
    (tmp_path / "loss.tsv").write_text(f"step\tloss\n{rows}", encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("plots: [{loss.tsv: {x: step, y: loss}}]\n", encoding="utf-8")
    (tmp_path / "template.html").write_text(offline.page(), encoding="utf-8")
    run("dvc", "config", "plots.html_template", "../template.html")
    run("dvc", "plots", "show")
    page = chromium.new_page()
    asked: list[str] = []
    noise: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.goto((tmp_path / "dvc_plots" / "index.html").as_uri())
    page.wait_for_selector(".vega-embed canvas, .vega-embed svg")
    assert noise == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()
