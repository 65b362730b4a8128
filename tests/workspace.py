"""A small pipeline workspace in a temporary folder: params.yaml, BEIR texts and graded pairs, all made here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from graded.formats import table

GRADES = pa.schema(
    [
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("rank", pa.int32()),
        ("grade", pa.int8()),
        ("expected", pa.float64()),
        ("outside", pa.float64()),
        ("outcome", pa.string()),
    ]
)


def write_params(folder: Path, **values: Any) -> None:
    """Write params.yaml with the shared values a stage needs, overridden and extended by ``values``."""
    shared: dict[str, Any] = {
        "tau": 2,
        "languages": ["fi", "ar"],
        "annotator": "a",
        "annotators": ["a", "b"],
        "seed": 7,
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(shared | values, sort_keys=False), encoding="utf-8")


def changed(text: str, was: str, now: str) -> str:
    """Return ``text`` with the first ``was``, which has to be there, as ``now``."""
    assert was in text
    return text.replace(was, now, 1)


def write_beir(
    folder: Path,
    passages: Iterable[tuple[str, str, str]],
    queries: Iterable[tuple[str, str]],
    qrels: Mapping[str, Iterable[tuple[str, str, int]]],
) -> None:
    """Write a BEIR folder; ``qrels`` maps a split to its rows."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    rows = [{"_id": doc_id, "title": title, "text": text} for doc_id, title, text in passages]
    write_jsonl(folder / "corpus.jsonl", rows)
    write_jsonl(folder / "queries.jsonl", [{"_id": query_id, "text": text} for query_id, text in queries])
    for split, judged in qrels.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{g}" for q, d, g in judged)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_grades(folder: Path, annotator: str, lang: str, grades: Mapping[tuple[str, str], int | None]) -> None:
    """Write data/grade/<annotator>/<lang>.parquet under ``folder``; None is a refusal."""
    rows = [
        (query_id, doc_id, 1, grade, None, None, "ok" if grade is not None else "refused")
        for (query_id, doc_id), grade in grades.items()
    ]
    table.write_rows(folder / "data" / "grade" / annotator / f"{lang}.parquet", GRADES, rows)
