"""Several annotators' grades as one: SQL over the grade stage's tables, so that millions of rows stream.

``annotator`` in params.yaml names one annotator, or one of these combinations over the pairs that every annotator
graded (a refusal of one leaves the pair out):

    mean    the average; fractions, so a fractional tau makes sense
    min     the strictest grade
    max     the most generous grade
    agree   the average of those pairs whose grades lie within one step of each other; the others are left out
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graded.errors import ParamError, one_of

WAYS = {
    "mean": "avg(grade)",
    "min": "min(grade)",
    "max": "max(grade)",
    "agree": "avg(grade)",
}


def known(annotator: object, annotators: Sequence[str]) -> None:
    """Return where ``annotator`` is one of ``annotators`` or a way to combine them.

    Raises:
        ParamError: it is neither, or a combination of fewer than two.
    """
    if annotator not in annotators and annotator not in WAYS:
        raise ParamError(f"annotator: {one_of(annotator, [*annotators, *WAYS])}")
    if annotator not in annotators and len(annotators) < 2:
        raise ParamError(f"annotator: received {annotator!r}, which needs two annotators; there is {annotators[0]!r}")


def combined(folder: Path, annotators: Sequence[str], annotator: str, lang: str) -> str:
    """Return the SELECT of (query_id, doc_id, grade double) of one language, ungraded pairs left out.

    Args:
        folder: data/grade, which holds <annotator>/<lang>.parquet.
        annotators: all that count in a combination.
        annotator: one of them, or a key of ``WAYS``.
        lang: language code.
    """
    if annotator in annotators:
        return f"SELECT query_id, doc_id, grade::DOUBLE AS grade FROM {_graded(folder, annotator, lang)}"
    rows = " UNION ALL ".join(f"SELECT query_id, doc_id, grade FROM {_graded(folder, one, lang)}" for one in annotators)
    having = f"count(*) = {len(annotators)}"
    if annotator == "agree":
        having += " AND max(grade) - min(grade) <= 1"
    return (
        f"SELECT query_id, doc_id, ({WAYS[annotator]})::DOUBLE AS grade FROM ({rows})"
        f" GROUP BY query_id, doc_id HAVING {having}"
    )


def _graded(folder: Path, annotator: str, lang: str) -> str:
    path = str(folder / annotator / f"{lang}.parquet").replace("'", "''")
    return f"(SELECT * FROM read_parquet('{path}') WHERE outcome = 'ok' AND grade IS NOT NULL)"
