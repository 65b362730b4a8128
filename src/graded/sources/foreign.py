"""Other people's files as BEIR rows: CSV or TSV tables, JSONL, and SQuAD-format JSON, plain or gzipped.

Each reader yields rows and the bad ones apart, so that nothing is dropped without being counted and listed. A table's
delimiter is found in its header (a spreadsheet's CSV has `;` in half of Europe), UTF-16 and UTF-8 marks are understood.
White space in an id becomes ``%20`` and the like, the same in all files: a TREC run cannot carry it.

    passages table or JSONL   text, and where there: id, title, document
    queries table or JSONL    text, and where there: id
    judgements table          query, passage, score
    SQuAD JSON                data[].paragraphs[].{context, qas[].{id, question}}  (XQuAD, JSQuAD, ARCD)

SQuAD's layout: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from graded.errors import DataError, flat
from graded.sources.columns import field, records, text_of
from graded.sources.opened import opened


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
    """One judgement, and where it stands."""

    query_id: str
    doc_id: str
    score: int
    where: str = ""


def rows(path: Path) -> Iterator[Row | Bad]:
    """Yield the passages or queries of a CSV, TSV or JSONL file.

    A row without an id gets one from its text (the same in every run); without a document it is its own.

    Raises:
        MissingError: no such file.
        DataError: an ending that is not .csv, .tsv, .jsonl (.gz), broken UTF-8, or no column that may hold the text.
    """
    seen: set[str] = set()
    for where, fields in records(path, ["text"]):
        if isinstance(fields, str):
            yield Bad(where, fields)
            continue
        text = field(fields, "text")
        if not text:
            yield Bad(where, "no text")
            continue
        given = _id(field(fields, "id"))
        name = given or hashlib.sha256(text.encode()).hexdigest()[:16]
        if name in seen:
            yield Bad(where, f"id {name!r} stands twice" if given else "this text stands twice")
            continue
        seen.add(name)
        yield Row(name, field(fields, "title"), text, field(fields, "document") or name)


def judgements(path: Path) -> Iterator[Judged | Bad]:
    """Yield the judgements of a CSV, TSV or JSONL file; errors as in :func:`rows`."""
    for where, fields in records(path, ["query", "passage", "score"]):
        if isinstance(fields, str):
            yield Bad(where, fields)
            continue
        query, passage, score = (field(fields, name) for name in ("query", "passage", "score"))
        if not query or not passage:
            yield Bad(where, "no query or no passage id")
        elif not _WHOLE.fullmatch(score):
            yield Bad(where, f"score {score[:40]!r} is no whole number")
        else:
            yield Judged(_id(query), _id(passage), int(score.partition(".")[0]), where)


def squad(path: Path) -> Iterator[tuple[Row, list[Row]] | Bad]:
    """Yield each paragraph of a SQuAD-format file with its questions; the document is the article.

    A paragraph's id is made of the article's number and its own (the same in every translation of a parallel set). A
    title before ``[SEP]`` (JSQuAD) is taken off the text. Questions that SQuAD 2 marks as unanswerable are bad rows:
    their paragraph does not answer them.

    Raises:
        MissingError: no such file.
        DataError: no JSON, or no list ``data``.
    """
    with opened(path) as file:
        try:
            found = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: no JSON ({flat(error, 80)})") from None
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        raise DataError(f"{path}: no list 'data'; SQuAD JSON has data[].paragraphs[].context and qas[]")
    seen: set[str] = set()
    for number, article in enumerate(found["data"]):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            yield Bad(f"{path}: data[{number}]", "no list 'paragraphs'")
            continue
        title = text_of(article.get("title")).replace("_", " ")
        for index, paragraph in enumerate(paragraphs):
            where = f"{path}: data[{number}].paragraphs[{index}]"
            context = text_of(paragraph.get("context")) if isinstance(paragraph, dict) else ""
            if not context:
                yield Bad(where, "no text 'context'")
                continue
            questions: list[Row] = []
            for at, qa in enumerate(paragraph.get("qas") or []):
                one = _question(f"{where}.qas[{at}]", f"{number}-{index}-{at}", str(number), qa, seen)
                if isinstance(one, Bad):
                    yield one
                else:
                    questions.append(one)
            head, mark, tail = context.partition(" [SEP] ")
            yield Row(f"{number}-{index}", head if mark else title, tail if mark else context, str(number)), questions


def _question(where: str, name: str, document: str, qa: Any, seen: set[str]) -> Row | Bad:
    question = text_of(qa.get("question")) if isinstance(qa, dict) else ""
    if not question:
        return Bad(where, "no text 'question'")
    if qa.get("is_impossible") is True:
        return Bad(where, "marked as unanswerable (is_impossible)")
    name = _id(text_of(qa.get("id"))) or name
    if name in seen:
        return Bad(where, f"id {name!r} stands twice")
    seen.add(name)
    return Row(name, "", question, document)


def _id(name: str) -> str:
    return _SPACE.sub(lambda found: quote(found[0]), name)


_WHOLE = re.compile(r"[-+]?[0-9]{1,9}(?:\.0*)?")
_SPACE = re.compile(r"[\s\x1c-\x1f\x85]")
