"""The values of single queries beside a results table, as the tables with paired intervals read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from graded.analysis.variants import forms
from graded.experiments import tidy
from graded.formats import table

#: The columns of :data:`graded.experiments.tidy.KEY`.
Arm = tuple[str, ...]


def beside(results: Path) -> Path:
    """Return where the values stand: ``results.scores.parquet`` beside ``results.parquet`` or ``results.csv``."""
    return results.with_name(f"{results.stem}.scores.parquet")


def read(path: Path, metric: str) -> Mapping[Arm, Mapping[str, float]] | None:
    """Return arm -> query_id -> value of the fine-tuned encoders for one metric, whatever its name in a set.

    None where there is no such file.
    """
    if not path.is_file():
        return None
    table.open_parquet(path).close()
    found: dict[Arm, dict[str, float]] = defaultdict(dict)
    with table.connect() as connection:
        cursor = connection.execute(
            f"SELECT {', '.join(tidy.KEY)}, query_id, value FROM read_parquet(?)"
            " WHERE list_contains(?, metric) AND system = 'tuned'",
            [str(path), list(forms(metric))],
        )
        while rows := cursor.fetchmany(100_000):
            for *arm, query_id, value in rows:
                found[tuple(arm)][query_id] = value
    return found
