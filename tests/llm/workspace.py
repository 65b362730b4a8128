"""A workspace of the stages query and grade: sampled passages, candidates, prompts, and a table that grades."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from graded.formats import table
from graded.stages.query import query_id
from tests.conftest import ROOT
from tests.workspace import write_params

CANDIDATES = pa.schema(
    [("query_id", pa.string()), ("doc_id", pa.string()), ("rank", pa.int32()), ("score", pa.float32())]
)
STYLES = ["question", "keywords"]
RECORDED: dict[str, dict[str, Any]] = {
    "query": {"model": "writer", "family": "recorded"},
    "grade": {"annotators": {name: {"model": name, "family": "recorded", "max_tokens": 8} for name in ("a", "b")}},
}


def make(folder: Path, *, passages: int = 4, **values: Any) -> None:
    """Write params.yaml, the prompts, prices.yaml and data/sample for languages fi and ar."""
    write_params(folder, **{**RECORDED, **values})
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    shutil.copy(ROOT / "prices.yaml", folder)
    for lang in ("fi", "ar"):
        rows = [(f"doc {number}", f"T{number}", f"{lang} passage {number}") for number in range(passages)]
        table.write_rows(folder / f"data/sample/{lang}.parquet", table.PASSAGES, rows)


def make_candidates(folder: Path, *, depth: int = 3, languages: Sequence[str] = ("fi", "ar")) -> None:
    """Write data/candidate from data/query: for each written query the first ``depth`` passages."""
    for lang in languages:
        docs = [doc_id for (doc_id,) in table.read_rows(folder / f"data/sample/{lang}.parquet", "doc_id")][:depth]
        queries = [
            name
            for name, text in table.read_rows(folder / f"data/query/{lang}.parquet", "query_id", "text")
            if text is not None
        ]
        rows = [(name, doc, rank, 1.0 / rank) for name in queries for rank, doc in enumerate(docs, 1)]
        table.write_rows(folder / f"data/candidate/{lang}.parquet", CANDIDATES, rows)


def query_text(lang: str, number: int, style: str) -> str:
    return f"{lang} {style} {number}"


def recorded_queries(passages: int = 4) -> list[dict[str, str]]:
    return [
        {
            "stage": "query", "language": lang, "style": style, "title": f"T{number}",
            "passage": f"{lang} passage {number}", "reply": query_text(lang, number, style),
        }
        for lang in ("fi", "ar") for number in range(passages) for style in STYLES
    ]  # fmt: skip


def recorded_grades(annotator: str, passages: int = 4) -> list[dict[str, str]]:
    return [
        {
            "stage": "grade", "annotator": annotator, "language": lang, "query": query_text(lang, number, style),
            "title": f"T{other}", "passage": f"{lang} passage {other}",
            "reply": f"[{grade(annotator, number, other)}]",
        }
        for lang in ("fi", "ar") for number in range(passages) for style in STYLES for other in range(passages)
    ]  # fmt: skip


def grade(annotator: str, number: int, other: int) -> int:
    return (3 - abs(number - other) + (annotator == "b")) % 4


def expected_grades(annotator: str, lang: str, passages: int = 4, depth: int = 3) -> dict[tuple[str, str], int]:
    """Return what stage grade must write for :func:`recorded_grades` and :func:`make_candidates`."""
    return {
        (query_id(lang, f"doc {number}", style), f"doc {other}"): grade(annotator, number, other)
        for number in range(passages)
        for style in STYLES
        for other in range(min(passages, depth))
    }


def write_readings(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write recorded readings, as JSONL or as TSV."""
    if path.suffix == ".tsv":
        names = list(rows[0])
        lines = ["\t".join(names), *("\t".join(row[name] for name in names) for row in rows)]
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
