"""Passages of each language as Parquet.

Reads: the source named by ``corpus.source`` under ``corpus.path``.
Writes: data/corpus/<lang>.parquet (doc_id, title, text), in the source's order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from graded import params
from graded.console import run, say
from graded.errors import DataError
from graded.formats import atomic, table
from graded.sources import beir

OUT = Path("data/corpus")


class Params(params.Section):
    """Where the passages come from."""

    source: Literal["beir"] = "beir"
    #: Root folder; DVC tracks its content.
    path: Path
    #: Folder of a language under ``path``: one pattern for all (``{lang}``), or a mapping from language to folder.
    folder: str | dict[str, str] = Field(default="{lang}")


def folder_of(path: Path, folder: str | dict[str, str], lang: str) -> Path:
    """Return the folder of ``lang`` under ``path``.

    Raises:
        DataError: ``folder`` is a mapping without this language.
    """
    if isinstance(folder, str):
        return path / folder.replace("{lang}", lang)
    if lang not in folder:
        raise DataError(f"corpus.folder names no folder for {lang!r}; it has: {', '.join(sorted(folder))}")
    return path / folder[lang]


def main() -> None:
    """Write one file a language, all of them or none."""
    chosen = params.section("corpus", Params)
    with atomic.atomic_folder(OUT) as out:
        for lang in params.languages():
            target = out / f"{lang}.parquet"
            count = table.write_rows(target, table.PASSAGES, beir.passages(folder_of(chosen.path, chosen.folder, lang)))
            table.refuse_duplicates(target, "doc_id")
            say(f"corpus {lang}: {count:,} passages")


if __name__ == "__main__":
    run(main)
