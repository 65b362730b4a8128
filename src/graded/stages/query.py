"""LLM-written queries for the sampled passages: a pure slice of the ledger; what is missing is bought if allowed.

Reads: data/sample/<lang>.parquet, prompts/query.txt, the ledger.
Writes: data/query/<lang>.parquet (query_id, doc_id, style, text, outcome), in the order of the sample, whose first
passages they are about: a larger `passages` buys only what the smaller one did not. And metrics/query.json, what the
writer did per language:

    {"<lang>": {"queries", "written", "refused", "filtered", "truncated", "unparseable"}}
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from graded import params
from graded.console import run, say
from graded.formats import table
from graded.formats.atomic import atomic_folder, write_json
from graded.llm.annotate import OUTCOMES, annotate
from graded.llm.job import Ask, Batch, How, Job, Mode, Reask
from graded.llm.ledger import Ledger
from graded.llm.prompts import query_messages
from graded.llm.replies import read_query
from graded.llm.reply import Reply
from graded.llm.request import Model, characters
from graded.records import Outcome, passage_text

SAMPLE, OUT, METRICS = Path("data/sample"), Path("data/query"), Path("metrics/query.json")
SCHEMA = pa.schema(
    [("query_id", pa.string()), ("doc_id", pa.string()), ("style", pa.string()), ("text", pa.string()),
     ("outcome", pa.string())]
)  # fmt: skip
DTYPE = [("outcome", "i1"), ("text", "O")]


class Params(Model):
    """Who writes the queries, and which."""

    # Not `size`: DVC leaves a key of that name out of a run's hash.
    passages: int | None = Field(None, ge=1, description="of the sample, that queries are written for; null: all")
    styles: list[Literal["question", "keywords"]] = Field(
        default=["question", "keywords"], min_length=1, description="one query of each style a passage"
    )
    mode: Mode = Field("online", description="online (one by one), batch (half the price, within a day) or auto")
    batch: Batch = Batch()
    reask: Reask = Reask()


def query_id(lang: str, doc_id: str, style: str) -> str:
    """Return the id of a passage's query: free of white space whatever ``doc_id`` holds, equal in each run."""
    name = hashlib.sha256(f"{lang}\0{doc_id}".encode()).hexdigest()[:16]
    return f"{lang}-{name}-{style}"


def sampled(lang: str, passages: int | None, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield ``columns`` of the passages that queries are written for: the sample's first ones, in its order."""
    return islice(table.read_rows(SAMPLE / f"{lang}.parquet", *columns), passages)


def asks(languages: list[str], styles: list[Any], passages: int | None = None) -> Iterator[Ask]:
    """Yield one request a passage and style."""
    for lang in languages:
        for title, text in sampled(lang, passages, "title", "text"):
            for style in styles:
                yield Ask(lang, partial(query_messages, lang, style, passage_text(title, text)))


def read(reply: Reply) -> tuple[int, str | None]:
    """Return a reply's outcome and query."""
    outcome, text = read_query(reply)
    return OUTCOMES.index(outcome), text


def job(chosen: Params, languages: list[str]) -> Job:
    """Return all that this stage asks."""
    frame = characters(query_messages(languages[0], chosen.styles[0], ""))
    return Job("query", "query", chosen, lambda: asks(languages, chosen.styles, chosen.passages), frame)


def counted(counts: Counter[Outcome]) -> dict[str, int]:
    """Return one language's part of metrics/query.json."""
    without = {str(outcome): counts[outcome] for outcome in Outcome if outcome is not Outcome.OK}
    return {"queries": counts.total(), "written": counts[Outcome.OK], **without}


def main() -> None:
    """Run the stage."""
    chosen, languages = params.section("query", Params), params.languages()
    how = How(chosen.mode, chosen.reask, chosen.batch)
    readings = iter(annotate(Ledger(), [job(chosen, languages)], DTYPE, read, how)[0])
    outcomes = {}
    with atomic_folder(OUT) as folder:
        for lang in languages:
            counts: Counter[Outcome] = Counter()
            rows = []
            for (doc_id,) in sampled(lang, chosen.passages, "doc_id"):
                for style in chosen.styles:
                    code, text = next(readings)
                    counts[OUTCOMES[code]] += 1
                    rows.append((query_id(lang, doc_id, style), doc_id, style, text, str(OUTCOMES[code])))
            table.write_rows(folder / f"{lang}.parquet", SCHEMA, rows)
            say(f"query {lang}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
            outcomes[lang] = counted(counts)
    write_json(METRICS, outcomes)


if __name__ == "__main__":
    run(main)
