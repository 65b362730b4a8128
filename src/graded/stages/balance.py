"""Appendix A's down-sampling over languages, after the annotators are combined.

Reads: data/grade/<annotator>/<lang>.parquet.
Writes: data/balance/<lang>.parquet (query_id, doc_id, grade), ordered by query and passage.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from graded import params
from graded.analysis.balance import Plan, plan
from graded.analysis.combine import combined, known
from graded.analysis.draw import draw_order
from graded.console import run, say
from graded.errors import DataError
from graded.formats import atomic, table

GRADE, OUT = Path("data/grade"), Path("data/balance")


class Params(params.Section):
    """How large each language becomes."""

    #: Off: every graded pair is kept.
    enabled: bool = True
    #: Pairs a language; null takes the most that every language can give.
    total: int | None = Field(default=None, gt=0)
    #: Memory of the draw in GB; beyond it, it spills to disk.
    memory_gb: float = Field(default=1.0, gt=0)


def refuse_zeros(counts: dict[str, tuple[int, int]]) -> None:
    """Return if every language has a grade above 0.

    Raises:
        DataError: one has none, so that Appendix A's first rule would leave no language any.
    """
    for lang, (some, none) in counts.items():
        if none and not some:
            raise DataError(
                f"balance {lang}: all {none:,} grades are 0, and each language gets as many non-zero pairs as the"
                f" scarcest has; see metrics/agree.json, then drop {lang!r} of languages, or balance.enabled: false"
            )


def main() -> None:
    """Down-sample every language to the same numbers."""
    chosen, seed, languages = params.section("balance", Params), params.seed(), params.languages()
    annotator, annotators = params.shared("annotator"), params.shared("annotators")
    known(annotator, annotators)
    with table.connect(memory_gb=chosen.memory_gb) as connection, atomic.atomic_folder(OUT) as out:
        counts = {}
        for lang in languages:
            for one in annotators if annotator not in annotators else [annotator]:
                table.count_rows(GRADE / one / f"{lang}.parquet")
            select = combined(GRADE, annotators, annotator, lang)
            connection.execute(f'CREATE TABLE "{lang}" AS {select}')
            row = connection.execute(
                f'SELECT count(*) FILTER (grade > 0), count(*) FILTER (grade = 0) FROM "{lang}"'
            ).fetchone()
            counts[lang] = (int(row[0]), int(row[1])) if row else (0, 0)
        if chosen.enabled:
            refuse_zeros(counts)
        drawn = plan(counts, chosen.total)
        for lang in languages:
            one = drawn if chosen.enabled else Plan(*counts[lang])
            draws = " UNION ALL ".join(
                f'(SELECT query_id, doc_id, grade FROM "{lang}" WHERE {kind}'
                f" ORDER BY {draw_order(seed, 'query_id', 'doc_id')} LIMIT {size})"
                for kind, size in (("grade > 0", one.nonzero), ("grade = 0", one.zero))
            )
            select = f"SELECT * FROM ({draws}) ORDER BY query_id, doc_id"
            table.copy_query(connection, select, out / f"{lang}.parquet")
            say(f"balance {lang}: {one.total:,} pairs of {sum(counts[lang]):,}, {one.nonzero:,} above grade 0")


if __name__ == "__main__":
    run(main)
