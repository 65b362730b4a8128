"""A whole pipeline in a folder, small enough to be broken in many ways: made-up texts, a tiny encoder, a stand-in API.

world = World(tmp_path, api, passages=[...])
world.run("corpus", "benchmark", "sample")     # in this process; raises Stopped with what the user would see
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import chdir, redirect_stderr
from io import StringIO
from pathlib import Path
from shutil import copytree
from typing import Any

import yaml

from graded import console
from tests.conftest import ROOT
from tests.encoders import random_encoder
from tests.llm.buying import MODEL
from tests.standin import StandIn
from tests.workspace import write_beir

WORDS = ["lumi", "järvi", "metsä", "kaupunki", "katu", "silta", "talvi", "kesä", "joki", "vuori", "ranta", "kivi"]
#: The stages up to the training pairs, in the order of dvc.yaml.
TO_PAIR = ("corpus", "benchmark", "sample", "query", "candidate", "grade", "agree", "balance", "pair")

Passages = Sequence[tuple[str, str, str]]


class Stopped(Exception):  # noqa: N818
    """A stage ended with another exit code than 0; the text is what it wrote on stderr."""

    def __init__(self, word: str, code: int, said: str) -> None:
        super().__init__(said)
        self.word, self.code = word, code


def line(stopped: Stopped) -> str:
    """Return the one line that a user sees; more lines, or a traceback, fail the test."""
    lines = [one for one in str(stopped).splitlines() if one.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("graded: ")
    assert stopped.code not in (0, None)
    return lines[0]


def passages(lang: str, count: int = 24) -> list[tuple[str, str, str]]:
    """Return made-up passages, each of other words than the next."""
    return [
        (f"{lang}-{number}", WORDS[number % 12], " ".join(WORDS[(number * step + step) % 12] for step in range(1, 9)))
        for number in range(count)
    ]


class World:
    """One workspace; ``texts`` maps a language to its passages, ``judged`` to the number of its test queries."""

    def __init__(
        self, folder: Path, api: StandIn, texts: Mapping[str, Passages] | None = None,
        judged: Mapping[str, int] | None = None, **values: Any,
    ) -> None:  # fmt: skip
        self.folder, self.api = folder, api
        self.texts = {"fi": passages("fi"), "ar": passages("ar")} if texts is None else dict(texts)
        for lang, rows in self.texts.items():
            self.write(lang, rows, (judged or {}).get(lang, 2))
        copytree(ROOT / "prompts", folder / "prompts")
        (folder / "prices.yaml").write_bytes((ROOT / "prices.yaml").read_bytes())
        (folder / "accelerate.yaml").write_bytes((ROOT / "accelerate.yaml").read_bytes())
        self.params(values)

    def encoder(self) -> None:
        """Write data/encoder, where it is not there; it takes PyTorch to make, so only what needs it asks."""
        if not (self.folder / "data" / "encoder").is_dir():
            random_encoder(self.folder / "data" / "encoder", "bert", temperature=0.05)

    def write(self, lang: str, rows: Passages, judged: int) -> None:
        """Write one language's BEIR folder, its first ``judged`` passages judged by as many queries."""
        queries = [(f"q{number}", f"{text[:40]}?") for number, (_, _, text) in enumerate(rows[:judged])]
        qrels = [(f"q{number}", doc_id, 2) for number, (doc_id, _, _) in enumerate(rows[:judged])]
        write_beir(self.folder / "texts" / lang, rows, queries, {"test": qrels})

    def params(self, values: Mapping[str, Any]) -> None:
        """Write params.yaml, ``values`` laid over what makes a run take no time."""
        judge = {"model": MODEL, "base_url": self.api.base_url, "max_tokens": 8, "timeout": 5.0}
        chosen: dict[str, Any] = {
            "tau": 1, "languages": list(self.texts), "annotator": "one", "annotators": ["one", "two"], "seed": 7,
            "corpus": {"source": "beir", "path": "texts"},
            "benchmark": {"path": "texts", "sets": {"set": {"source": "beir"}}},
            "sample": {"size": 500}, "candidate": {"k": 3},
            "query": {"model": MODEL, "family": "openai", "base_url": self.api.base_url, "timeout": 5.0},
            "grade": {"annotators": {"one": judge, "two": {**judge, "seed": 2}}},
            "agree": {"resamples": 100}, "balance": {}, "pair": {},
            "train": {"budget": "steps", "steps": 3, "batch_size": 8, "threads": 1},
            "retrieve": {"k": 100}, "bm25": {}, "evaluate": {"resamples": 100}, "report": {},
        }  # fmt: skip
        (self.folder / "params.yaml").write_text(yaml.safe_dump(chosen | dict(values)), encoding="utf-8")

    def run(self, *words: str, **environment: str) -> str:
        """Run the stages in this process, as `dvc repro` would one after another; return what stderr got.

        Raises:
            Stopped: one of them failed.
        """
        before = dict(os.environ)
        said = StringIO()
        os.environ |= {"OPENAI_API_KEY": "k", "GRADED_BUDGET_USD": "100", **environment}
        os.environ.pop("DVC_ROOT", None)
        try:
            for word in words:
                if word == "candidate":
                    self.encoder()
                with chdir(self.folder), redirect_stderr(said):
                    _one(word, said)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return said.getvalue()


def _one(word: str, said: StringIO) -> None:
    name, _, item = word.partition("@")
    folder = "data/encoder" if item == "base" else "data/model"
    before, sys.argv = sys.argv, [name, *(["--encoder", folder, "--run", f"data/run/{item}"] if item else [])]
    start = said.tell()
    try:
        console.run(importlib.import_module(f"graded.stages.{name}").main)
    except SystemExit as ended:
        said.seek(start)
        raise Stopped(word, int(ended.code or 0), said.read()) from None
    finally:
        sys.argv = before


def leftovers(folder: Path) -> list[Path]:
    """Return what no stage may leave: temporary files and folders of half-written outs."""
    return [path for path in _walk(folder) if path.name.endswith(".tmp")]


def _walk(folder: Path) -> Iterable[Path]:
    return sorted(folder.rglob("*"))
