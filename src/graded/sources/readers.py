"""The sources behind one interface: what the stages corpus and benchmark ask of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from graded.formats import table
from graded.records import Direction, Passage, Qrel, Query
from graded.sources import beir, clirmatrix, miracl, topics

Name = Literal["beir", "trec", "miracl", "clirmatrix"]


class Layout(Protocol):
    """A module that reads a folder of one language."""

    def passages(self, folder: Path) -> Iterator[Passage]:
        """Yield the passages."""

    def queries(self, folder: Path, split: str) -> Iterator[Query]:
        """Yield the queries of a split, or of all."""

    def qrels(self, folder: Path, split: str) -> Iterator[Qrel]:
        """Yield the judgements of a split."""


#: Sources with a folder a language.
LAYOUTS: Mapping[str, Layout] = {"beir": beir, "trec": topics}


class Reader(Protocol):
    """A set of texts: which directions it judges, by which queries and qrels, and its passages."""

    def directions(self) -> list[Direction]:
        """Return the directions that are judged."""

    def judged(self, direction: Direction) -> tuple[list[Query], list[Qrel]]:
        """Return a direction's queries and judgements, as the files have them."""

    def write_passages(self, lang: str, target: Path) -> int:
        """Write the passages of ``lang`` (doc_id, title, text) to ``target`` and return their number."""


class Folders:
    """A folder a language, in one of :data:`LAYOUTS`; ids may be the same in each language."""

    def __init__(self, source: str, folders: Mapping[str, Path], split: str, *, cross_lingual: bool = False) -> None:
        self.layout, self.folders, self.split, self.cross_lingual = LAYOUTS[source], folders, split, cross_lingual

    def directions(self) -> list[Direction]:
        """Return every pair of languages where the set is cross-lingual, else each language with itself."""
        return [
            Direction(query_lang, doc_lang)
            for query_lang in self.folders
            for doc_lang in (self.folders if self.cross_lingual else [query_lang])
        ]

    def judged(self, direction: Direction) -> tuple[list[Query], list[Qrel]]:
        """Return the queries of one language and the judgements that stand with the passages of the other."""
        return self._queries[direction.query_lang], self._qrels[direction.doc_lang]

    def write_passages(self, lang: str, target: Path) -> int:
        """Write the passages; errors as in the layout's ``passages``."""
        return table.write_rows(target, table.PASSAGES, self.layout.passages(self.folders[lang]))

    @cached_property
    def _queries(self) -> dict[str, list[Query]]:
        return {lang: list(self.layout.queries(folder, self.split)) for lang, folder in self.folders.items()}

    @cached_property
    def _qrels(self) -> dict[str, list[Qrel]]:
        return {lang: list(self.layout.qrels(folder, self.split)) for lang, folder in self.folders.items()}


class Miracl:
    """MIRACL under one folder."""

    def __init__(self, folder: Path, languages: list[str], split: str = "dev", *, partial: bool = False) -> None:
        self.folder, self.languages, self.split, self.partial = folder, languages, split, partial

    def directions(self) -> list[Direction]:
        """Return each language with itself."""
        return [Direction(lang, lang) for lang in self.languages]

    def judged(self, direction: Direction) -> tuple[list[Query], list[Qrel]]:
        """Return topics and qrels; errors as in miracl.queries."""
        lang = direction.query_lang
        return (
            list(miracl.queries(self.folder, lang, self.split)),
            list(miracl.qrels(self.folder, lang, self.split)),
        )

    def write_passages(self, lang: str, target: Path) -> int:
        """Stream the shards into ``target``; errors as in miracl.write_passages."""
        return miracl.write_passages(self.folder, lang, target, partial=self.partial)


class Clirmatrix:
    """CLIRMatrix MULTI-8 under one folder; ``listed`` keeps only the documents that some query lists."""

    def __init__(self, folder: Path, languages: list[str], split: str, *, listed: bool) -> None:
        self.folder, self.languages, self.split, self.listed = folder, languages, split, listed

    def directions(self) -> list[Direction]:
        """Return the pairs that have a file."""
        return clirmatrix.directions(self.folder, self.languages, self.split)

    def absent(self) -> list[Direction]:
        """Return the pairs of MULTI-8's languages, of this run's, that have no file."""
        langs = [lang for lang in self.languages if lang in clirmatrix.LANGUAGES]
        wanted = [Direction(one, other) for one in langs for other in langs if one != other]
        return [direction for direction in wanted if direction not in self.directions()]

    def judged(self, direction: Direction) -> tuple[list[Query], list[Qrel]]:
        """Return queries and grades; errors as in clirmatrix.listings."""
        rows = list(clirmatrix.listings(self.folder, direction, self.split))
        return [row.query for row in rows], [qrel for row in rows for qrel in row.qrels]

    def write_passages(self, lang: str, target: Path) -> int:
        """Write the documents; errors as in clirmatrix.passages."""
        rows = clirmatrix.passages(self.folder, lang)
        if self.listed:
            wanted = {
                qrel.doc_id
                for direction in self.directions()
                if direction.doc_lang == lang
                for qrel in self.judged(direction)[1]
            }
            rows = (row for row in rows if row.doc_id in wanted)
        return table.write_rows(target, table.PASSAGES, rows)
