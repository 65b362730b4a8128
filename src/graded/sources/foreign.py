"""Other people's files as BEIR rows: CSV or TSV tables, JSONL, and SQuAD-format JSON.

Each reader yields rows and the bad ones apart, so that nothing is dropped without being counted and listed.

    passages table or JSONL   text, and where there: id, title, document
    queries table or JSONL    text, and where there: id
    judgements table          query, passage, score
    SQuAD JSON                data[].paragraphs[].{context, qas[].{id, question}}  (XQuAD, JSQuAD, ARCD)

SQuAD's layout: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text".
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from graded.errors import DataError, MissingError, one_of

#: Names that a column may have, the first that is there counts.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("_id", "id", "doc_id", "passage_id", "query_id", "qid", "docid"),
    "title": ("title", "heading"),
    "text": ("text", "passage", "contents", "content", "body", "query", "question"),
    "document": ("document", "document_id", "article", "url", "source"),
    "query": ("query-id", "query_id", "qid", "query"),
    "passage": ("corpus-id", "doc_id", "docid", "passage_id", "passage"),
    "score": ("score", "relevance", "grade", "label"),
}


class Row(NamedTuple):
    """One passage or query; ``document`` is what must not be split over train and test."""

    id: str
    title: str
    text: str
    document: str


class Bad(NamedTuple):
    """A row that was not taken: where it stands and why."""

    where: str
    why: str


class Judged(NamedTuple):
    """One judgement."""

    query_id: str
    doc_id: str
    score: int


def rows(path: Path) -> Iterator[Row | Bad]:
    """Yield the passages or queries of a CSV, TSV or JSONL file.

    A row without an id gets one from its text (the same in every run); without a document it is its own.

    Raises:
        MissingError: no such file.
        DataError: an ending that is not .csv, .tsv, .jsonl, broken UTF-8, or no column that may hold the text.
    """
    seen: set[str] = set()
    for where, fields in _records(path):
        if isinstance(fields, str):
            yield Bad(where, fields)
            continue
        text = _field(fields, "text")
        if not text.strip():
            yield Bad(where, "no text")
            continue
        name = _field(fields, "id") or hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        if name in seen:
            yield Bad(where, f"id {name!r} stands twice")
            continue
        seen.add(name)
        yield Row(name, _field(fields, "title"), _clean(text), _field(fields, "document") or name)


def judgements(path: Path) -> Iterator[Judged | Bad]:
    """Yield the judgements of a CSV, TSV or JSONL file; errors as in :func:`rows`."""
    for where, fields in _records(path):
        if isinstance(fields, str):
            yield Bad(where, fields)
            continue
        query, passage, score = (_field(fields, name) for name in ("query", "passage", "score"))
        if not query or not passage:
            yield Bad(where, "no query or no passage id")
        elif not score.lstrip("-").isascii() or not score.lstrip("-").isdigit():
            yield Bad(where, f"score {score!r} is no whole number")
        else:
            yield Judged(query, passage, int(score))


def squad(path: Path) -> Iterator[tuple[Row, list[Row]] | Bad]:
    """Yield each paragraph of a SQuAD-format file with its questions; the document is the article.

    A paragraph's id is made of the article's number and its own (the same in every translation of a parallel set). A
    title before ``[SEP]`` (JSQuAD) is taken off the text.

    Raises:
        MissingError: no such file.
        DataError: no JSON, or no list ``data``.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"no {path} here") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON ({' '.join(str(error).split())[:80]})") from None
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        raise DataError(f"{path}: no list 'data'; SQuAD JSON has data[].paragraphs[].context and qas[]")
    for number, article in enumerate(found["data"]):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            yield Bad(f"{path}: data[{number}]", "no list 'paragraphs'")
            continue
        for index, paragraph in enumerate(paragraphs):
            yield _paragraph(f"{path}: data[{number}].paragraphs[{index}]", number, index, article, paragraph)


def _paragraph(where: str, number: int, index: int, article: Any, paragraph: Any) -> tuple[Row, list[Row]] | Bad:
    context = paragraph.get("context") if isinstance(paragraph, dict) else None
    if not isinstance(context, str) or not context.strip():
        return Bad(where, "no text 'context'")
    head, mark, tail = context.partition(" [SEP] ")
    title = head.strip() if mark else str(article.get("title") or "").replace("_", " ")
    document = str(number)
    passage = Row(f"{number}-{index}", title, _clean(tail if mark else context), document)
    questions = [
        Row(str(qa.get("id") or f"{number}-{index}-{at}"), "", _clean(qa["question"]), document)
        for at, qa in enumerate(paragraph.get("qas") or [])
        if isinstance(qa, dict) and isinstance(qa.get("question"), str) and qa["question"].strip()
    ]
    return passage, questions


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise DataError(f"{path}: {one_of(kind, ['.csv', '.tsv', '.jsonl'])}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if kind == ".jsonl":
                yield from _jsonl(path, file)
            else:
                csv.field_size_limit(1 << 27)
                reader = csv.DictReader(file, delimiter="\t" if kind == ".tsv" else ",")
                _known(path, reader.fieldnames or [])
                for row in reader:
                    short = any(value is None for key, value in row.items() if key)
                    yield f"{path}:{reader.line_num}", "fewer fields than the header" if short else row
    except FileNotFoundError:
        raise MissingError(f"no {path} here") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: broken UTF-8 at byte {error.start}; save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: no {kind[1:].upper()} ({error})") from None


def _jsonl(path: Path, file: Iterator[str]) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield f"{path}:{number}", row if isinstance(row, dict) else "no JSON object"


def _known(path: Path, header: Any) -> None:
    names = {str(name).strip().lower() for name in header}
    if not names & {*ALIASES["text"], *ALIASES["score"]}:
        raise DataError(f"{path}: no column for the text: {one_of(', '.join(sorted(names)), ALIASES['text'])}")


def _field(fields: Mapping[str, Any], name: str) -> str:
    lower = {str(key).strip().lower(): value for key, value in fields.items() if key is not None}
    for alias in ALIASES[name]:
        value = lower.get(alias)
        if value is not None and str(value) != "":
            return str(value)
    return ""


def _clean(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
