"""LLM grades 0 to 3 of the candidate pairs, by each annotator: a pure slice of the ledger, bought where allowed.

Reads: data/candidate/<lang>.parquet, data/query/<lang>.parquet, data/sample/<lang>.parquet, prompts/grade.txt, the
ledger.
Writes: data/grade/<annotator>/<lang>.parquet (query_id, doc_id, rank, grade, expected, outside, outcome), by query_id
and rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from graded import params
from graded.console import run, say
from graded.errors import DataError, ParamError, one_of
from graded.formats import table
from graded.formats.atomic import atomic_folder
from graded.llm.annotate import OK, OUTCOMES, annotate
from graded.llm.job import Ask, Batch, How, Job, Mode, Reask
from graded.llm.ledger import Ledger
from graded.llm.prompts import grade_messages
from graded.llm.replies import read_grade
from graded.llm.reply import Reply
from graded.llm.request import Messages, Model, characters
from graded.records import passage_text

CANDIDATE, QUERY, SAMPLE, OUT = Path("data/candidate"), Path("data/query"), Path("data/sample"), Path("data/grade")
SCHEMA = pa.schema(
    [("query_id", pa.string()), ("doc_id", pa.string()), ("rank", pa.int32()), ("grade", pa.int8()),
     ("expected", pa.float64()), ("outside", pa.float64()), ("outcome", pa.string())]
)  # fmt: skip
DTYPE = [("outcome", "i1"), ("grade", "i1"), ("expected", "f8"), ("outside", "f8")]


class Params(params.Section):
    """Who grades, and how."""

    mode: Mode = Field("online", description="online (one by one), batch (half the price, within a day) or auto")
    batch: Batch = Batch()
    annotators: dict[str, Model] = Field(
        min_length=1, description="all that can be named in the top-level `annotators`"
    )
    reask: Reask = Reask()


def pairs(lang: str) -> Iterator[tuple[str, str, int]]:
    """Yield (query_id, doc_id, rank) of one language's candidates, by query_id and rank."""
    path = CANDIDATE / f"{lang}.parquet"
    table.count_rows(path)
    with table.connect(memory_gb=0.5, threads=2) as connection:
        rows = connection.execute(
            "SELECT query_id, doc_id, rank FROM read_parquet(?) ORDER BY query_id, rank, doc_id", [str(path)]
        )
        while chunk := rows.fetchmany(10_000):
            yield from chunk


class Texts:
    """Texts of one Parquet file by id, held as UTF-8 in one Arrow column rather than as Python strings."""

    def __init__(self, path: Path, name: str, *columns: str) -> None:
        with table.open_parquet(path) as file:
            held = file.read(columns=[name, *columns])
        self.path = path
        self.place = {one: index for index, one in enumerate(held.column(name).to_pylist())}
        self.columns = [held.column(column).combine_chunks() for column in columns]

    def get(self, name: str) -> list[str]:
        """Return the row of ``name``.

        Raises:
            DataError: there is none.
        """
        if name not in self.place:
            raise DataError(f"{self.path} has no row {name!r}, which a candidate names; run: dvc repro")
        return [column[self.place[name]].as_py() for column in self.columns]


def asks(languages: list[str]) -> Iterator[Ask]:
    """Yield one request a pair, those of a query together: its passages then share a prefix."""
    for lang in languages:
        passages = Texts(SAMPLE / f"{lang}.parquet", "doc_id", "title", "text")
        queries = Texts(QUERY / f"{lang}.parquet", "query_id", "text")
        for query_id, doc_id, _ in pairs(lang):
            yield Ask(lang, partial(messages, queries, query_id, passages, doc_id))


def messages(queries: Texts, query_id: str, passages: Texts, doc_id: str) -> Messages:
    """Return the messages of one pair."""
    title, text = passages.get(doc_id)
    return grade_messages(queries.get(query_id)[0], passage_text(title, text))


def read(reply: Reply) -> tuple[int, int, float, float]:
    """Return a reply's reading; what is None is -1 or NaN."""
    reading = read_grade(reply)
    grade = -1 if reading.grade is None else reading.grade
    expected, outside = (np.nan if value is None else value for value in (reading.expected, reading.outside))
    return OUTCOMES.index(reading.outcome), grade, expected, outside


def jobs(chosen: Params, annotators: Any, languages: list[str]) -> list[Job]:
    """Return all that this stage asks, one job an annotator.

    Raises:
        ParamError: `annotators` names one that ``grade.annotators`` does not have, or one that cannot be a folder.
    """
    if not isinstance(annotators, list) or not annotators or len(set(annotators)) != len(annotators):
        raise ParamError(f"annotators: received {annotators!r}; expected a list of different names")
    found = []
    for name in annotators:
        if name not in chosen.annotators:
            raise ParamError(f"annotators: {one_of(name, chosen.annotators)}")
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
            raise ParamError(f"annotators: received {name!r}; a name may hold letters, digits, '.', '-' and '_'")
        frame = characters(grade_messages("", ""))
        found.append(Job("grade", f"grade.annotators.{name}", chosen.annotators[name], lambda: asks(languages), frame))
    return found


def rows(lang: str, readings: NDArray[Any], counts: Counter[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one language and count their outcomes."""
    for (query_id, doc_id, rank), reading in zip(pairs(lang), readings, strict=True):
        outcome = OUTCOMES[reading["outcome"]]
        counts[outcome] += 1
        expected, outside = (None if np.isnan(reading[name]) else float(reading[name]) for name in DTYPE_FLOATS)
        grade = int(reading["grade"]) if reading["outcome"] == OK else None
        yield query_id, doc_id, rank, grade, expected, outside, str(outcome)


DTYPE_FLOATS = ("expected", "outside")


def main() -> None:
    """Run the stage."""
    chosen, languages, annotators = params.section("grade", Params), params.languages(), params.shared("annotators")
    found = annotate(
        Ledger(), jobs(chosen, annotators, languages), DTYPE, read, How(chosen.mode, chosen.reask, chosen.batch)
    )
    with atomic_folder(OUT) as folder:
        for annotator, readings in zip(annotators, found, strict=True):
            start = 0
            for lang in languages:
                end = start + table.count_rows(CANDIDATE / f"{lang}.parquet")
                counts: Counter[str] = Counter()
                table.write_rows(
                    folder / annotator / f"{lang}.parquet", SCHEMA, rows(lang, readings[start:end], counts)
                )
                say(f"grade {annotator} {lang}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
                start = end


if __name__ == "__main__":
    run(main)
