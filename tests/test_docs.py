"""The documentation: its site builds without a warning and loads nothing from elsewhere; the reference is whole."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import readme, reference
from graded.cli import COMMANDS, Lazy
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


def commands(path: Path) -> list[tuple[list[str], bool]]:
    """Return the commands of a page as words, without comments and variables, and whether each stands in a block."""
    text = path.read_text(encoding="utf-8")
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    prose = fence.sub("", text)
    blocks = [body for kind, body in fence.findall(text) if kind == "bash"] + re.findall(r"(?m)^    (\S.*)$", prose)
    inline = re.findall(r"`(graded [a-z][^`]*|dvc exp run [^`]*)`", prose)
    found = []
    for lines, whole in ((blocks, True), (inline, False)):
        for line in "\n".join(lines).splitlines():
            for part in re.split(r"; | && | \|\|? ", re.split(r"\s#", line)[0]):
                words = [word for word in part.split() if not re.match(r"[A-Z_]+=", word)]
                if words[:1] == ["graded"] or words[:3] == ["dvc", "exp", "run"]:
                    found.append((shlex.split(" ".join(words)), whole))
    return found


def test_every_command_of_every_page_is_one_that_there_is() -> None:
    """As far as it goes without running it: names, options, keys of params.yaml; in a block the arguments too."""
    group = Lazy(name="graded")
    known = {line.split("`")[1] for line in reference.params().splitlines() if line.startswith("| `")}
    keys = {f"{name}.{key}" for name in SECTIONS for key in known} | set(SHARED)
    pages = (*ROOT.glob("docs/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")))
    every = [(path.name, *found) for path in pages for found in commands(path)]
    assert len(every) > 100
    for page, words, whole in every:
        where = f"{page}: {shlex.join(words)}"
        if words[0] == "dvc":
            given = [value.partition("=")[0] for flag, value in pairwise(words) if flag == "-S" and "=" in value]
            assert [key for key in given if key not in keys] == [], where
        elif not words[1].startswith("-"):
            assert words[1] in COMMANDS, where
            command, rest = group.get_command(None, words[1]), [word.strip("[]") for word in words[2:]]
            if hasattr(command, "commands") and rest:
                assert rest[0] in command.commands, where
                command, rest = command.commands[rest[0]], rest[1:]
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
            assert [word for word in rest if word.startswith("-") and word.partition("=")[0] not in options] == [], (
                where
            )
            if whole and rest:
                parses(command, words[1], rest, where)


def parses(command: Any, name: str, rest: list[str], where: str) -> None:
    """Fail with ``where`` where the arguments are not the command's."""
    try:
        command.make_context(name, rest)
    except Exception as error:
        raise AssertionError(f"{where}: {error}") from error


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
    assert max(map(len, commands.partition("\n## ")[2].splitlines())) <= 100
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert re.findall(r"^## (.*)", stages, re.MULTILINE) == list(listed)
    assert stages.count("**Writes:**") == len(listed)
