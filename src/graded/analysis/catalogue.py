"""Every figure and table that a results table can fill, in the order of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from graded.analysis import figures_across, figures_sweep, published, tables_arms, tables_paper, variants
from graded.analysis.figures import Figure, Row
from graded.analysis.tables import Scores, Table

#: metric of mined negatives, of which the question is asked in MRR.
MINED = "MRR@10"


def primary(rows: Sequence[Row]) -> str:
    """Return the metric to show: nDCG@10 where it was measured, else the one with the most rows.

    Results may hold it under another of its names (``nDCG@10-pool``, ``nDCG@10-hnsw``): see :func:`measured`.
    """
    counts = Counter(variants.plain(row["metric"]) for row in rows)
    return "nDCG@10" if "nDCG@10" in counts or not counts else counts.most_common(1)[0][0]


def measured(rows: Sequence[Row], set_name: str, metric: str) -> list[str]:
    """Return the names of ``metric`` under which a benchmark has the fine-tuned encoder's values, the plain first."""
    have = {row["metric"] for row in rows if row["set"] == set_name and row["system"] == "tuned"}
    return [name for name in variants.forms(metric) if name in have]


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
            figures_sweep.mined(mine, annotator, set_name, _mined(mine, set_name, metric)),
        ):
            if figure:
                yield figure._replace(
                    name=_free(figure.name + suffix, found), caption=_about(figure.caption, family, metric)
                )


def tables(rows: Sequence[Row], scores: Scores | None = None) -> Iterator[Table]:
    """Yield the tables of several experiments; ``scores`` give Tables 1 and 2 their intervals."""
    found: Counter[str] = Counter()
    for suffix, family, mine, annotator, set_name, metric in _each(rows):
        for table in (
            tables_paper.mixtures(mine, annotator, set_name, metric, scores),
            tables_paper.across(mine, annotator, set_name, metric, scores),
            tables_arms.objectives(mine, annotator, set_name, metric),
            tables_arms.mined(mine, annotator, set_name, _mined(mine, set_name, metric)),
        ):
            if table:
                name = _free(f"{table.name}-{annotator}{suffix}", found)
                yield table._replace(name=name, caption=_about(table.caption, family, metric))


def _about(caption: str, family: tuple[str, ...], metric: str) -> str:
    """Return a caption with how long all arms of a family were trained, and what stands behind the metric's name."""
    budget = family[2].partition("#")[0].strip()
    trained = f"Trained for {budget}." if budget else ""
    return " ".join(filter(None, (caption, trained, variants.told([metric]))))


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
    """Yield (what to put behind a name, family, its rows of one annotator, annotator, set, metric's name there)."""
    first, several = primary(rows), len(sets(rows)) > 1
    for family in families(rows):
        mine = [row for row in rows if _family(row) == family]
        for annotator in dict.fromkeys(row["annotator"] for row in mine):
            for set_name in sets(mine):
                for metric in measured(mine, set_name, first):
                    suffix = (f"-{set_name}" if several else "") + metric.removeprefix(first)
                    yield suffix, family, mine, annotator, set_name, metric


def _mined(rows: Sequence[Row], set_name: str, metric: str) -> str:
    """Return the metric of mined negatives: MRR, searched as ``metric`` was, where it was measured."""
    wanted = MINED + metric.removeprefix(variants.plain(metric))
    mine = (row for row in rows if row["set"] == set_name and row["share_mined"] is not None)
    return wanted if any(row["metric"] == wanted for row in mine) else metric
