"""Reference pages made from the code: params.yaml's keys, the command line, the stages.

`python -m docs.reference params` prints one; `make docs` builds them into the site.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from docs.fields import Row, rows, shown
from graded.formats import yaml12
from graded.params import SECTIONS, SHARED

ROOT = Path(__file__).resolve().parents[1]


# params.yaml


def params() -> str:
    """Return the page of every key: what is legal, the default, the shipped value, the meaning."""
    values = yaml12.loads((ROOT / "params.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Every param", "",
        "One section a stage; `dvc exp run -S train.epochs=5` sets one. A key that no stage reads is an error, and so",
        "is an illegal value: one line that names what is legal. *Default* holds where a key is left out, *shipped* is",
        "what this repository's params.yaml says; a dash: there is no default. What a change runs again:",
        "[stages](stages.md).",
        "", "## At the top", "", *_table(_shared(values)), "",
    ]  # fmt: skip
    for name in SECTIONS:
        model = importlib.import_module(f"graded.stages.{name}").Params
        lines += [f"## {name}", "", *_table(list(rows(model, values.get(name) or {}))), ""]
    return "\n".join(lines)


def _shared(values: dict[str, Any]) -> list[Row]:
    means = {
        "tau": ("a number from 0 to 3, or {default: 2, fi: 1}", "a graded pair is a positive where its grade is at "
                "least tau; fractions suit averaged grades"),
        "languages": ("a list of codes of two or three small letters", "what every stage works on"),
        "annotator": ("one of `annotators`, or mean, min, max, agree", "whose grades train the model"),
        "annotators": ("a list of names in `grade.annotators`", "who grades"),
        "seed": ("a whole number from 0", "what every stage derives its randomness from"),
    }  # fmt: skip
    return [Row(name, means[name][0], "-", shown(values[name]), means[name][1]) for name in SHARED]


def _table(found: list[Row]) -> list[str]:
    head = ["| key | legal | default | shipped | meaning |", "|---|---|---|---|---|"]
    cells = [
        [f"`{one.key}`", one.legal, _code(one.default), _code(one.shipped), _visible(one.meaning.removesuffix("."))]
        for one in found
    ]
    return head + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]


def _visible(text: str) -> str:
    """Return ``text`` as Markdown in which names in angle brackets and stars stay visible."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(one if one.startswith("`") else one.replace("<", "&lt;").replace("*", "\\*") for one in pieces)


def _code(text: str) -> str:
    return text if text in ("", "-") else f"`{text}`"


# The command line


def cli() -> str:
    """Return the page of every command: what `--help` prints at 100 columns."""
    from graded.cli import CODES, COMMANDS, Lazy, grouped

    names = [[name] for name in COMMANDS]
    for name in COMMANDS:
        names += [[name, inner] for inner in getattr(Lazy(name="graded").get_command(None, name), "commands", {})]
    lines = [
        "# Every command", "",
        "`graded --help` lists them, `graded COMMAND --help` prints what stands here. The shell completes commands,",
        "options, and names of profiles, sweeps, annotators and benchmarks after `graded --install-completion`.", "",
        "| exit code | means |", "|---|---|", *(f"| {code} | {text} |" for code, text in CODES.items()), "",
    ]  # fmt: skip
    order = [name for some in grouped().values() for name in some]
    for path in sorted(names, key=lambda path: order.index(path[0])):
        lines += [
            f"{'##' if len(path) == 1 else '###'} graded {' '.join(path)}",
            "",
            "```text",
            helped(path),
            "```",
            "",
        ]
    return "\n".join(lines)


def helped(path: list[str]) -> str:
    """Return what `graded <path> --help` prints."""
    from graded.cli import app

    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(out):
            app([*path, "--help"], prog_name="graded", standalone_mode=False)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


# dvc.yaml


def stages() -> str:
    """Return the page of the stages in the order of dvc.yaml: what each does, reads, writes, and its params."""
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    lines = [
        "# Every stage", "",
        "In the order of dvc.yaml. A stage is one word: `src/graded/stages/<word>.py`, the section of params.yaml,",
        "`data/<word>/`. It runs again where one of its params, inputs or sources has changed, and then what reads its",
        "output, unless that is the same as before.", "",
    ]  # fmt: skip
    for name, entry in listed.items():
        body = entry.get("do", entry)
        documented = importlib.import_module(f"graded.stages.{name}").__doc__ or ""
        keys = [one if isinstance(one, str) else str(next(iter(one))) for one in body.get("params", [])]
        sections = dict.fromkeys(one.partition(".")[0] for one in keys)
        lines += [f"## {name}", ""]
        if "foreach" in entry:
            lines += [f"Runs as {_and(f'`{name}@{item}`' for item in entry['foreach'])}.", ""]
        lines += [*_docstring(documented), "", f"Params: {_and(f'`{one}`' for one in sections) or 'none'}.", ""]
    return "\n".join(lines)


def _docstring(text: str) -> list[str]:
    """Return a stage's docstring as Markdown, `Reads:` and `Writes:` as paragraphs of their own."""
    found: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        word, _, rest = line.partition(":")
        starts = word in ("Reads", "Writes")
        found += ["", f"**{word}:**{_visible(rest)}"] if starts else [_visible(line)]
    return found


def _and(words: Iterator[str]) -> str:
    return ", ".join(words)


PAGES = {"params": params, "cli": cli, "stages": stages}


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked not in PAGES:
        raise SystemExit(f"reference: received {asked!r}; legal: {', '.join(PAGES)}")
    print(PAGES[asked]())
