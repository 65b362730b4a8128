"""CLIRMatrix MULTI-8: queries of one language, graded documents of another.

    docs/<lang>.tsv.gz                         doc_id <tab> text
    queries/<ql>_<dl>/<split>.jsonl.gz         {"src_id", "src_query", "tgt_results": [[doc_id, grade], ...]}

Languages ar de en es fr ja ru zh. 100 documents are listed a query, grades 0 to 6: 6 most relevant, 1 to 5 binned BM25
scores of the query's own language, 0 not retrieved there. Two protocols: re-rank the listed documents, or search the
whole collection (where a document that is not listed counts as not relevant).

Source: Sun and Duh 2020, "CLIRMatrix: A massively large collection of bilingual and multilingual datasets for
Cross-Lingual Information Retrieval", EMNLP.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from graded.errors import DataError, MissingError
from graded.records import Direction, Passage, Qrel, Query
from graded.sources.lines import named, objects, text, whole

LANGUAGES = ("ar", "de", "en", "es", "fr", "ja", "ru", "zh")


class Listing(NamedTuple):
    """One query and the documents listed for it."""

    query: Query
    qrels: list[Qrel]


def directions(folder: Path, languages: list[str], split: str) -> list[Direction]:
    """Return the pairs of ``languages`` that have a file of ``split``.

    Raises:
        MissingError: there is none; what was looked for.
    """
    pairs = [Direction(query_lang, doc_lang) for query_lang in languages for doc_lang in languages]
    found = [pair for pair in pairs if _queries(folder, pair, split).is_file()]
    if not found:
        raise MissingError(
            f"no {folder}/queries/<ql>_<dl>/{split}.jsonl.gz for two of {', '.join(languages)} (MULTI-8 has"
            f" {', '.join(LANGUAGES)}); fetch them: graded fetch clirmatrix --split {split} --to {folder}"
        )
    return found


def listings(folder: Path, direction: Direction, split: str) -> Iterator[Listing]:
    """Yield the queries of one direction in file order, blank lines skipped.

    Raises:
        DataError: damaged gzip; a line without src_id, src_query or tgt_results; a result that is not
            [doc_id, grade]; a grade outside 0 to 6; the line is named.
    """
    for where, row in objects(_queries(folder, direction, split)):
        query = Query(text(row, "src_id", where, is_id=True), text(row, "src_query", where))
        results = row.get("tgt_results")
        if not isinstance(results, list):
            raise DataError(f"{where}: 'tgt_results' is {results!r}, expected a list of [doc_id, grade]")
        yield Listing(query, [_qrel(query.query_id, result, where) for result in results])


def passages(folder: Path, lang: str) -> Iterator[Passage]:
    """Yield the documents of ``lang`` in file order; they have no title.

    Raises:
        MissingError: no such file.
        DataError: damaged gzip, or a line that has not two columns; it is named.
    """
    path = folder / "docs" / f"{lang}.tsv.gz"
    if not path.is_file():
        raise MissingError(f"no {path}; fetch it: graded fetch clirmatrix --languages {lang} --to {folder}")
    for doc_id, words in named(path, "doc_id"):
        yield Passage(doc_id, "", words)


def _queries(folder: Path, direction: Direction, split: str) -> Path:
    return folder / "queries" / f"{direction.query_lang}_{direction.doc_lang}" / f"{split}.jsonl.gz"


def _qrel(query_id: str, result: object, where: str) -> Qrel:
    if not isinstance(result, list) or len(result) != 2 or not isinstance(result[0], str | int):
        raise DataError(f"{where}: a result is {result!r}, expected [doc_id, grade]")
    grade = whole(result[1], "grade", where)
    if not 0 <= grade <= 6:
        raise DataError(f"{where}: grade {grade} of {result[0]!r}; legal: 0 to 6")
    return Qrel(query_id, str(result[0]), grade)
