"""What is published where, and its hashes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

from graded.errors import DataError, ParamError, one_of
from graded.sources import clirmatrix, miracl
from graded.sources.fetch import Pin, fetch

HUB = "https://huggingface.co/datasets"
#: The index of CLIRMatrix's files, itself pinned; it has the URL and the MD5 of each.
INDEX = Pin(
    "downloads.json.gz",
    "http://www.cs.jhu.edu/~shuosun/clirmatrix/data/downloads.json.gz",
    5143717,
    "371cc532aca236759bd3602eb6ce2181",
)


def miracl_pins(
    languages: Sequence[str], split: str, part: Literal["corpus", "topics", "all"] = "all", revision: str = "main"
) -> list[Pin]:
    """Return the files of ``languages``: corpus shards, and topics and qrels of ``split``.

    Topics and qrels come from a copy of miracl/miracl that needs no token; the hashes are the same.

    Raises:
        ParamError: MIRACL has no such language, or the language no such split.
    """
    pins = []
    for lang in languages:
        if lang not in miracl.SHARDS:
            raise ParamError(f"MIRACL: {one_of(lang, miracl.SHARDS)}")
        corpus = re.compile(rf"miracl-corpus-v1\.0-{lang}/")
        topics = re.compile(rf"miracl-v1\.0-{lang}/(topics|qrels)/\1\.miracl-v1\.0-{lang}-{re.escape(split)}\.tsv")
        found = {
            "corpus": [pin for pin in _miracl(revision) if corpus.match(pin.path)],
            "topics": [pin for pin in _miracl(revision) if topics.fullmatch(pin.path)],
        }
        if not found["topics"] and part != "corpus":
            raise ParamError(f"MIRACL {lang}: {one_of(split, ['train', 'dev', 'test-a', 'test-b'])}")
        pins += [pin for kind, some in found.items() if part in (kind, "all") for pin in some]
    return pins


def _miracl(revision: str) -> Iterator[Pin]:
    text = resources.files(__name__).joinpath("miracl.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            repository, path, size, md5 = line.split("\t")
            yield Pin(path, f"{HUB}/{repository}/resolve/{revision}/{path}", int(size), md5)


def clirmatrix_pins(languages: Sequence[str], split: str, folder: Path, mirror: str | None) -> list[Pin]:
    """Return the documents of ``languages`` and the queries of ``split`` of each pair of them.

    The index is fetched into ``folder`` first.

    Raises:
        ParamError: MULTI-8 has no such language or split.
        DataError: the index is not what it should be.
    """
    wanted = [lang for lang in languages if lang in clirmatrix.LANGUAGES]
    if len(wanted) < 2:
        raise ParamError(f"CLIRMatrix MULTI-8: received {', '.join(languages)}; legal: two or more of "
                         f"{', '.join(clirmatrix.LANGUAGES)}")  # fmt: skip
    if split not in (splits := ("train", "dev", "test1", "test2")):
        raise ParamError(f"CLIRMatrix: {one_of(split, splits)}")
    (path,) = fetch([INDEX], folder, mirror=mirror)
    return read_index(path, wanted, split)


def read_index(path: Path, languages: Sequence[str], split: str) -> list[Pin]:
    """Return the files that the index names for ``languages`` and ``split``; errors as in :func:`clirmatrix_pins`."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            index = json.load(file)
        pins = [_entry(f"docs/{lang}.tsv.gz", index["clirmatrix_docs"][f"docs/{lang}"]) for lang in languages]
        queries = index["clirmatrix_multi8"]
        pins += [
            _entry(f"queries/{one}_{other}/{split}.jsonl.gz", queries[f"queries/{one}_{other}/{split}"])
            for one in languages
            for other in languages
            if f"queries/{one}_{other}/{split}" in queries
        ]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not CLIRMatrix's index ({type(error).__name__}: {error})") from None
    return pins


def _entry(path: str, entry: dict[str, object]) -> Pin:
    return Pin(path, str(entry["url"]), int(str(entry.get("size_hint", 0))), str(entry["expected_md5"]))
