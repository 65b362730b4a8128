"""The documentation: its site builds without a warning and loads nothing from elsewhere; the reference is whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs import readme, reference
from graded.cli import COMMANDS
from graded.formats import yaml12
from graded.params import SECTIONS, SHARED
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout + done.stderr == ""
    return target


def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {"index.html", "own-data.html", "reference/params.html", "reference/cli.html"} <= pages
    for page in pages:
        text = (site / page).read_text(encoding="utf-8")
        tags = re.findall(r"<(?:script|img|iframe)[^>]+src=[^>]+>|<link[^>]+rel=.(?:stylesheet|icon)[^>]+>", text)
        assert tags
        assert [tag for tag in tags if re.search(r"=.?(https?:)?//", tag)] == [], page


def test_lists_stand_behind_an_empty_line() -> None:
    """Markdown readers differ here: without it, the site would show one paragraph."""
    for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found = re.findall(r"^(?!- |\d+\. |  |\||#).*\S.*\n- .*", text, re.MULTILINE)
        assert found == [], path


def test_the_readme_shows_what_the_metrics_say() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert len(readme.PRINTED.findall(text)) == 1
    assert readme.written() == text, "metrics/evaluate.json has changed: python -m docs.readme"


def test_every_param_is_in_the_reference_with_its_meaning() -> None:
    page = reference.params()
    assert re.findall(r"^## (.*)", page, re.MULTILINE) == ["At the top", *SECTIONS]
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 120
    assert [row[0] for row in rows if len(row) != 5 or not row[4].strip()] == []
    values = yaml12.loads((ROOT / "params.yaml").read_text(encoding="utf-8"))
    listed = {row[0].strip("`") for row in rows}
    for section in SECTIONS:
        body = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        for key in values[section]:
            assert f"| `{key}" in body, f"{section}.{key}"
    assert set(SHARED) <= listed
    assert {"negatives.share_mined", "annotators.<name>.model", "sets.<name>.role", "reask.outcomes"} <= listed


def test_the_reference_has_every_command_and_stage() -> None:
    commands, stages = reference.cli(), reference.stages()
    for name in COMMANDS:
        assert f"\n## graded {name}\n" in commands
    assert "\n### graded ledger publish\n" in commands
    assert max(map(len, commands.splitlines())) <= 100
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert re.findall(r"^## (.*)", stages, re.MULTILINE) == list(listed)
    assert stages.count("**Writes:**") == len(listed)
