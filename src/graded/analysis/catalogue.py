"""Every figure and table that a results table can fill, in the order of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from graded.analysis import figures_across, figures_sweep, published, tables_arms, tables_paper
from graded.analysis.figures import Figure, Row
from graded.analysis.tables import Scores, Table

#: metric of mined negatives, of which the question is asked in MRR.
MINED = "MRR@10"


def primary(rows: Sequence[Row]) -> str:
    """Return the metric to show: nDCG@10 where it was measured, else the one with the most rows."""
    counts = Counter(row["metric"] for row in rows)
    return "nDCG@10" if "nDCG@10" in counts or not counts else counts.most_common(1)[0][0]


def sets(rows: Sequence[Row]) -> list[str]:
    """Return the benchmarks, in the order of the rows; those for tuning (named ``...-dev``) last."""
    return sorted(dict.fromkeys(row["set"] for row in rows), key=lambda name: name.endswith("-dev"))


def families(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return (encoder, what size counts, recipe), the one of most experiments first.

    Arms that differ in these are never drawn as one line and never stand in one table.
    """
    experiments = dict.fromkeys((row["experiment"], _family(row)) for row in rows)
    return [family for family, _ in Counter(family for _, family in experiments).most_common()]


def figures(rows: Sequence[Row]) -> Iterator[Figure]:
    """Yield the figures of several experiments."""
    found: Counter[str] = Counter()
    for suffix, family, mine, annotator, set_name, metric in _each(rows):
        for figure in (
            figures_sweep.curves(mine, annotator, set_name, metric),
            figures_across.across(mine, annotator, set_name, metric),
            figures_sweep.mined(mine, annotator, set_name, MINED if _has(mine, set_name, MINED) else metric),
        ):
            if figure:
                yield figure._replace(
                    name=_free(figure.name + suffix, found), caption=f"{figure.caption} {_trained(family)}"
                )


def tables(rows: Sequence[Row], scores: Scores | None = None) -> Iterator[Table]:
    """Yield the tables of several experiments; ``scores`` give Tables 1 and 2 their intervals."""
    found: Counter[str] = Counter()
    for suffix, family, mine, annotator, set_name, metric in _each(rows):
        for table in (
            tables_paper.mixtures(mine, annotator, set_name, metric, scores),
            tables_paper.across(mine, annotator, set_name, metric, scores),
            tables_arms.objectives(mine, annotator, set_name, metric),
            tables_arms.mined(mine, annotator, set_name, MINED if _has(mine, set_name, MINED) else metric),
        ):
            if table:
                name = _free(f"{table.name}-{annotator}{suffix}", found)
                yield table._replace(name=name, caption=f"{table.caption} {_trained(family)}")


def _trained(family: tuple[str, ...]) -> str:
    """Return the sentence that says how long all arms of a family were trained."""
    budget = family[2].partition("#")[0].strip()
    return f"Trained for {budget}." if budget else ""


def _free(name: str, found: Counter[str]) -> str:
    """Return ``name``, or ``name-2`` and so on where another family has it."""
    found[name] += 1
    return name if found[name] == 1 else f"{name}-{found[name]}"


def _family(row: Row) -> tuple[str, ...]:
    return str(row["encoder"]), str(row["count"]), str(row["recipe"] or "")


def languages(rows: Sequence[Row]) -> list[str]:
    """Return the languages of the queries, in the paper's order."""
    return published.in_order({row["query_lang"] for row in rows})


def _each(rows: Sequence[Row]) -> Iterator[tuple[str, tuple[str, ...], list[Row], str, str, str]]:
    """Yield (what to put behind a name, family, its rows of one annotator, annotator, set, metric)."""
    metric, several = primary(rows), len(sets(rows)) > 1
    for family in families(rows):
        mine = [row for row in rows if _family(row) == family]
        for annotator in dict.fromkeys(row["annotator"] for row in mine):
            for set_name in sets(mine):
                yield f"-{set_name}" if several else "", family, mine, annotator, set_name, metric


def _has(rows: Sequence[Row], set_name: str, metric: str) -> bool:
    return any(row["set"] == set_name and row["metric"] == metric and row["share_mined"] is not None for row in rows)
