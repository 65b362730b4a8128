"""Stage candidate with a small random encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graded.errors import DataError
from graded.formats import table
from graded.records import passage_text
from graded.retrieval.encoder import Encoder
from graded.stages import candidate
from graded.stages.query import SCHEMA as QUERY
from tests.encoders import random_encoder
from tests.workspace import write_params

PASSAGES = [
    ("d1", "Lumi", "Lumi sataa talvella."), ("d2", "", "Joki virtaa mereen."), ("d3", "", "Metsä kasvaa hitaasti."),
    ("d4", "Katu", "Katu johtaa torille."), ("d5", "", "Silta ylittää joen."), ("d6", "", "Joki virtaa mereen."),
]  # fmt: skip


@pytest.fixture
def workspace(here: Path) -> Path:
    write_params(here, languages=["fi"], candidate={"k": 4, "unit": 4})
    random_encoder(here / "data/encoder", "bert")
    table.write_rows(Path("data/sample/fi.parquet"), table.PASSAGES, PASSAGES)
    queries = [
        ("q1", "d1", "question", "Milloin lunta sataa?", "ok"), ("q2", "d2", "question", None, "refused"),
        ("q3", "d2", "keywords", "joki meri", "ok"),
    ]  # fmt: skip
    table.write_rows(Path("data/query/fi.parquet"), QUERY, queries)
    return here


def test_the_best_of_the_sample_for_each_query_that_has_a_text(workspace: Path) -> None:
    candidate.main()
    rows = list(table.read_rows(Path("data/candidate/fi.parquet"), "query_id", "doc_id", "rank", "score"))
    assert [(query_id, rank) for query_id, _, rank, _ in rows] == [(q, r) for q in ("q1", "q3") for r in (1, 2, 3, 4)]
    encoder = Encoder.load(Path("data/encoder"))
    vectors = encoder.encode([passage_text(title, text) for _, title, text in PASSAGES], "passage")
    for number, text in enumerate(["Milloin lunta sataa?", "joki meri"]):
        scores = vectors @ encoder.encode([text], "query")[0]
        best = sorted(zip(scores, [name for name, *_ in PASSAGES], strict=True), reverse=True)[:4]
        mine = rows[4 * number : 4 * number + 4]
        assert [score for *_, score in mine] == pytest.approx([float(score) for score, _ in best], abs=1e-6)
        names = [doc_id for _, doc_id, _, _ in mine]
        if "d2" in names and "d6" in names:
            assert names.index("d6") < names.index("d2"), "the same text twice: doc_id descending"


def test_no_text_at_all_is_said(workspace: Path) -> None:
    table.write_rows(Path("data/query/fi.parquet"), QUERY, [("q2", "d2", "question", None, "refused")])
    with pytest.raises(DataError, match="no query with outcome 'ok'"):
        candidate.main()


def test_bytes_are_equal_each_time(workspace: Path) -> None:
    candidate.main()
    first = Path("data/candidate/fi.parquet").read_bytes()
    for path in Path(".work").rglob("*.*"):
        path.unlink()
    candidate.main()
    assert Path("data/candidate/fi.parquet").read_bytes() == first
    assert np.frombuffer(first, np.uint8).size > 0
