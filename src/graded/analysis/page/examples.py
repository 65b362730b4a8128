"""A sample of graded pairs to read: every language, grade and degree of disagreement has its share.

DuckDB joins the grades of all annotators; texts are fetched for the chosen pairs alone, so the cost does not grow with
the length of the passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb

from graded.analysis.draw import draw_order
from graded.formats.table import connect, open_parquet


def sample(
    data: Path, languages: Sequence[str], annotators: Sequence[str], *, count: int, characters: int, seed: int
) -> tuple[list[dict[str, Any]], int]:
    """Return examples and the number of graded pairs they were drawn from.

    Within a language the pairs are taken in turn from each combination of the annotators' grades, in hash order; the
    languages take turns.

    Args:
        data: folder with grade/, query/, sample/ and pair.parquet.
        languages: codes.
        annotators: names, folders under grade/.
        count: examples in all.
        characters: where passages are cut.
        seed: of the draw.

    Returns:
        Dicts of lang, query_id, doc_id, query, style, title, passage, cut (bool), grades (one an annotator, None where
        the reply was no grade), outcomes, positive (True, False, or None where the pair did not train).
    """
    found: list[list[dict[str, Any]]] = []
    total = 0
    with connect(memory_gb=1.0) as connection:
        for lang in languages:
            paths = [data / "grade" / name / f"{lang}.parquet" for name in annotators]
            for path in paths:
                open_parquet(path).close()
            total += _chosen(connection, paths, max(1, count // len(languages)), seed)
            found.append(_texts(connection, data, lang, characters))
    return [row for turn in zip_longest(*found) for row in turn if row is not None], total


def _chosen(connection: duckdb.DuckDBPyConnection, paths: list[Path], count: int, seed: int) -> int:
    """Fill the table ``chosen`` with ``count`` pairs of one language; return how many there were."""
    joined = " FULL JOIN ".join(
        f"(SELECT query_id, doc_id, grade AS g{at}, outcome AS o{at} FROM read_parquet(?)) t{at}"
        + (" USING (query_id, doc_id)" if at else "")
        for at in range(len(paths))
    )
    grades = ", ".join(f"g{at}" for at in range(len(paths)))
    outcomes = ", ".join(f"o{at}" for at in range(len(paths)))
    connection.execute(
        f"CREATE OR REPLACE TABLE graded_pairs AS SELECT query_id, doc_id, {grades}, {outcomes} FROM {joined}",
        [str(path) for path in paths],
    )
    order = draw_order(seed, "query_id", "doc_id")
    connection.execute(
        "CREATE OR REPLACE TABLE chosen AS SELECT *,"
        f" row_number() OVER (PARTITION BY {grades} ORDER BY {order}) AS turn"
        f" FROM graded_pairs ORDER BY turn, {order} LIMIT {int(count)}"
    )
    return int(connection.execute("SELECT count(*) FROM graded_pairs").fetchall()[0][0])


def _texts(connection: duckdb.DuckDBPyConnection, data: Path, lang: str, characters: int) -> list[dict[str, Any]]:
    pairs = data / "pair.parquet"
    used = (
        "LEFT JOIN (SELECT query_id, doc_id, positive FROM read_parquet(?) WHERE lang = ?) p USING (query_id, doc_id)"
        if pairs.is_file()
        else "CROSS JOIN (SELECT NULL::BOOLEAN AS positive)"
    )
    cursor = connection.execute(
        "SELECT c.*, q.text AS query, q.style, s.title, s.text AS passage, positive FROM chosen c"
        " LEFT JOIN (SELECT query_id, text, style FROM read_parquet(?)) q USING (query_id)"
        " LEFT JOIN read_parquet(?) s USING (doc_id) "
        f"{used} ORDER BY turn, query_id, doc_id",
        [str(data / "query" / f"{lang}.parquet"), str(data / "sample" / f"{lang}.parquet")]
        + ([str(pairs), lang] if pairs.is_file() else []),
    )
    names = [column[0] for column in cursor.description or []]
    examples = []
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        text = row["passage"] or ""
        slots = range(sum(name.startswith("g") and name[1:].isdigit() for name in names))
        examples.append(
            {
                "lang": lang,
                "query_id": row["query_id"],
                "doc_id": row["doc_id"],
                "query": row["query"] or "",
                "style": row["style"] or "",
                "title": row["title"] or "",
                "passage": text[:characters],
                "cut": len(text) > characters,
                "grades": [row[f"g{at}"] for at in slots],
                "outcomes": [row[f"o{at}"] or "absent" for at in slots],
                "positive": row["positive"],
            }
        )
    return examples
