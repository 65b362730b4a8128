"""Tau applied to the graded pairs: which are positives, in which mixture, how many.

Reads: data/balance/<lang>.parquet, data/query/<lang>.parquet, data/sample/<lang>.parquet; tau.
Writes: data/pair.parquet (lang, query_id, doc_id, grade, positive, query, passage).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from graded import params
from graded.analysis.draw import draw_order
from graded.analysis.tau import thresholds
from graded.console import run, say
from graded.errors import DataError, ParamError, many, one_of
from graded.formats import table

BALANCE, QUERY, SAMPLE, OUT = Path("data/balance"), Path("data/query"), Path("data/sample"), Path("data/pair.parquet")


class Extra(params.Section):
    """The second language of a mixture (the paper's Section 5)."""

    #: Code of the second language; null: no mixture.
    language: str | None = None
    #: As ``pair.size``, for this language.
    size: int | None = Field(default=None, gt=0)


class Params(params.Section):
    """Which pairs train the model."""

    #: ``all`` languages, or one.
    target: str = "all"
    #: Size a language, counted by ``count``; null takes all. Smaller sizes are inside larger ones.
    size: int | None = Field(default=None, gt=0)
    #: What ``size`` counts: graded ``pairs`` before tau (the paper's way), or ``positives``.
    count: Literal["pairs", "positives"] = "pairs"
    extra: Extra = Extra()
    #: Memory of the join in GB; beyond it, it spills to disk.
    memory_gb: float = Field(default=2.0, gt=0)


def mixture(chosen: Params, languages: list[str]) -> dict[str, int | None]:
    """Return language -> size of the mixture, target first.

    Raises:
        ParamError: a language that is not in the run, or a second language that is the target.
    """
    if chosen.target != "all" and chosen.target not in languages:
        raise ParamError(f"pair.target: {one_of(chosen.target, ['all', *languages])}")
    targets = languages if chosen.target == "all" else [chosen.target]
    sizes: dict[str, int | None] = dict.fromkeys(targets, chosen.size)
    extra = chosen.extra.language
    if extra is not None:
        if extra not in languages or extra in sizes:
            left = [lang for lang in languages if lang not in sizes]
            if not left:
                raise ParamError(
                    f"pair.extra.language: received {extra!r}, and pair.target is all languages already; it adds one"
                    f" to a target of one, such as pair.target: {languages[0]}"
                )
            raise ParamError(f"pair.extra.language: {one_of(extra, left)}")
        sizes[extra] = chosen.extra.size
    return sizes


def select(lang: str, size: int | None, tau: float, seed: int, count: str) -> str:
    """Return the SQL of one language's pairs; ``tau`` splits them, ``size`` and ``count`` bound them."""
    order = draw_order(seed, "query_id", "doc_id")
    drawn = f"SELECT *, grade >= {tau!r} AS positive FROM read_parquet('{BALANCE}/{lang}.parquet')"
    if size is not None and count == "pairs":
        drawn += f" ORDER BY {order} LIMIT {size}"
    elif size is not None:
        running = f"count(*) FILTER (positive) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING)"
        drawn = f"SELECT * FROM ({drawn}) QUALIFY {running} - positive::INT < {size}"
    return (
        f"SELECT '{lang}' AS lang, p.query_id, p.doc_id, p.grade, p.positive, q.text AS query,"
        " trim(concat_ws(' ', nullif(s.title, ''), s.text)) AS passage"
        f" FROM ({drawn}) p JOIN read_parquet('{QUERY}/{lang}.parquet') q ON p.query_id = q.query_id"
        f" JOIN read_parquet('{SAMPLE}/{lang}.parquet') s ON p.doc_id = s.doc_id"
    )


def main() -> None:
    """Write the pairs of the mixture."""
    chosen, seed, languages = params.section("pair", Params), params.seed(), params.languages()
    tau = thresholds(params.shared("tau"), languages)
    sizes = mixture(chosen, languages)
    parts = []
    for lang, size in sorted(sizes.items()):
        have = table.count_rows(BALANCE / f"{lang}.parquet")
        if size is not None and chosen.count == "pairs" and size > have:
            say(f"pair {lang}: {size:,} asked for, {have:,} there; all are taken")
        parts.append(select(lang, size, tau[lang], seed, chosen.count))
    ordered = [f"{part} ORDER BY p.query_id, p.doc_id" for part in parts]
    with table.connect(memory_gb=chosen.memory_gb) as connection:
        table.copy_queries(connection, ordered, OUT)
        rows = connection.execute(
            "SELECT lang, count(*), count(*) FILTER (positive), max(grade) FROM read_parquet(?)"
            " GROUP BY lang ORDER BY lang",
            [str(OUT)],
        ).fetchall()
    for lang, count, positives, _ in rows:
        say(f"pair {lang}: {many(count, 'pair')}, {many(positives, 'positive')} at tau {tau[lang]:g}")
    if not any(positives for _, _, positives, _ in rows):
        OUT.unlink()
        at = ", ".join(f"{lang} {tau[lang]:g}" for lang in sizes)
        most = max((top for _, _, _, top in rows), default=0.0)
        ways = f"lower tau: dvc exp run -S tau={most:g}" if most > 0 else "see the grades in metrics/agree.json"
        raise DataError(
            f"pair: no grade reaches tau ({at}); the highest is {most:g}, so nothing can be trained; {ways}"
        )


if __name__ == "__main__":
    run(main)
