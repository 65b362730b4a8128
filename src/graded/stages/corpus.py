"""Passages of each language as Parquet.

Reads: the source named by ``corpus.source`` under ``corpus.path``.
Writes: data/corpus/<lang>.parquet (doc_id, title, text), in the source's order; where a BEIR folder says which passages
are of one document, documents/<lang>.parquet (doc_id, document).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from graded import params
from graded.console import run, say
from graded.errors import DataError, many
from graded.formats import atomic, table
from graded.sources import beir
from graded.sources.readers import LAYOUTS, Clirmatrix, Folders, Miracl, Name, Reader

OUT = Path("data/corpus")
DOCUMENTS = pa.schema([("doc_id", pa.string()), ("document", pa.string())])


class Params(params.Section):
    """Where the passages come from."""

    #: Layout of the files under ``path``.
    source: Name = "beir"
    #: Root folder; DVC tracks its content.
    path: Path
    #: beir, trec: folder of a language under ``path``: one pattern for all (``{lang}``), or a mapping from language to
    #: folder. miracl, clirmatrix: the one folder, ``.`` by default.
    folder: str | dict[str, str] | None = None
    #: miracl: accept fewer shards than the published corpus has.
    partial: bool = False


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


def reader(chosen: Params, languages: list[str]) -> Reader:
    """Return the source."""
    if chosen.source in LAYOUTS:
        folders = {lang: folder_of(chosen.path, chosen.folder or "{lang}", lang) for lang in languages}
        return Folders(chosen.source, folders, "")
    home = folder_of(chosen.path, chosen.folder or ".", languages[0])
    if chosen.source == "miracl":
        return Miracl(home, languages, partial=chosen.partial)
    return Clirmatrix(home, languages, "", listed=False)


def main() -> None:
    """Write one file a language, all of them or none."""
    chosen, languages = params.section("corpus", Params), params.languages()
    source = reader(chosen, languages)
    with atomic.atomic_folder(OUT) as out:
        for lang in languages:
            target = out / f"{lang}.parquet"
            count = source.write_passages(lang, target)
            if not count:
                raise DataError(
                    f"corpus {lang}: no passage in {chosen.path}; put some there or drop {lang!r} of languages"
                )
            table.refuse_duplicates(target, "doc_id", what="corpus")
            table.refuse_white_space(target, "doc_id", what="corpus")
            if chosen.source == "beir":
                write_documents(folder_of(chosen.path, chosen.folder or "{lang}", lang), out, lang)
            say(f"corpus {lang}: {many(count, 'passage')}")


def write_documents(folder: Path, out: Path, lang: str) -> None:
    """Write which passages of ``folder`` are of one document, where it says so."""
    rows = list(beir.documents(folder))
    if rows:
        table.write_rows(out / "documents" / f"{lang}.parquet", DOCUMENTS, rows)


if __name__ == "__main__":
    run(main)
