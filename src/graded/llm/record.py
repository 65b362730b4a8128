"""Readings that nobody was paid for, written into the ledger as replies like any other, with where they come from.

A file is JSONL, or TSV with a head line, one reading a row:

    stage      query or grade
    annotator  for grade: a name under grade.annotators in params.yaml; a query's writer is params' query section
    language   code of the query's language
    style      for query: question or keywords
    query      for grade: the query's text
    title      the passage's title; may be absent
    passage    the passage's text
    reply      what was answered, word for word
    provenance how this one was read; may be absent
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from graded.errors import DataError, MissingError, one_of
from graded.llm.ledger import Ledger
from graded.llm.prompts import grade_messages, query_messages
from graded.llm.reply import Reply, to_json
from graded.llm.request import Messages, Model, characters, key
from graded.llm.writer import Writer, now
from graded.records import passage_text

PROVENANCE = "read in bulk by a large language model with this prompt, cost 0"
LEGAL = ("stage", "annotator", "language", "style", "query", "title", "passage", "reply", "provenance")
GROUP = 1000


def readings(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a JSONL or TSV file of recorded readings.

    Raises:
        MissingError: no such file.
        DataError: a row that is no mapping, or has an unknown column; the line is named.
    """
    if not path.is_file():
        raise MissingError(f"no {path}; expected a .jsonl or .tsv file of recorded readings")
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".tsv":
            rows: Iterable[Any] = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            rows = (json.loads(line) for line in file if line.strip())
        try:
            for number, row in enumerate(rows, 1):
                if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
                    raise DataError(f"{path}, row {number}: expected text for each of {', '.join(LEGAL)}")
                for name in row:
                    if name not in LEGAL:
                        raise DataError(f"{path}, row {number}: {one_of(name, LEGAL)}")
                yield row
        except json.JSONDecodeError as error:
            raise DataError(f"{path} is not JSONL ({error})") from None


def request(row: Mapping[str, str], writer: Model | None, annotators: Mapping[str, Model]) -> tuple[Model, Messages]:
    """Return whom ``row`` was asked of, and the messages.

    Raises:
        DataError: a column is missing, or names no stage or annotator.
    """
    stage = row.get("stage")
    needed = {"query": ("language", "style", "passage", "reply"), "grade": ("annotator", "query", "passage", "reply")}
    if stage not in needed or (stage == "query" and writer is None):
        raise DataError(f"recorded reading: stage {one_of(stage, needed)}")
    for name in needed[stage]:
        if row.get(name) is None:
            raise DataError(f"recorded reading of stage {stage}: {name!r} is missing")
    passage = passage_text(row.get("title") or "", row["passage"])
    if stage == "query" and writer is not None:
        return writer, query_messages(row["language"], row["style"], passage)
    if row["annotator"] not in annotators:
        raise DataError(f"recorded reading: annotator {one_of(row['annotator'], annotators)}")
    return annotators[row["annotator"]], grade_messages(row["query"], passage)


def record(
    ledger: Ledger,
    rows: Iterable[Mapping[str, str]],
    writer: Model | None,
    annotators: Mapping[str, Model],
    provenance: str = PROVENANCE,
) -> tuple[int, int]:
    """Write ``rows`` as replies of cost 0 without usage; return (written, already there).

    Args:
        ledger: where to.
        rows: see :func:`readings`.
        writer: the model of stage query, as params.yaml has it.
        annotators: the models of stage grade by name.
        provenance: kept in each record whose row names none.
    """
    written = there = 0
    group: list[dict[str, Any]] = []
    with Writer(ledger.store) as live:
        for row in rows:
            model, messages = request(row, writer, annotators)
            name = key(model, messages)
            if ledger.state.known.has(name):
                there += 1
                continue
            ledger.state.known.add(name)
            group.append(
                {
                    "key": name.hex(), "kind": "reply", "at": now(), "usd": 0.0, "stage": row["stage"],
                    "lang": row.get("language") or "", "family": model.family, "model": model.model,
                    "in": characters(messages), "reply": to_json(Reply(row["reply"], model=model.model)),
                    "provenance": row.get("provenance") or provenance,
                }
            )  # fmt: skip
            written += 1
            if len(group) >= GROUP:
                live.write(group)
                live.sync()
                group = []
        if group:
            live.write(group)
            live.sync()
    return written, there
