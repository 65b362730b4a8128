"""Every figure and table that a results table can fill, in the order of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graded.analysis import figures_across, figures_sweep, tables_arms, tables_paper, variants
from graded.analysis.figures import Figure, Row
from graded.analysis.tables import Scores, Table

#: metric of mined negatives, of which the question is asked in MRR.
MINED = "MRR@10"
#: What a model is trained on.
WHOLE, SINGLE = "one model of all languages", "a model a language"


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
    """Return the benchmarks, in the order of the rows; those for tuning (role `dev` in every row) last."""
    reported = {row["set"] for row in rows if row["role"] != "dev"}
    return sorted(dict.fromkeys(row["set"] for row in rows), key=lambda name: name not in reported)


def families(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return (encoder, what size counts, recipe, what a model is trained on), the one of most experiments first.

    Arms that differ in these are never drawn as one line and never stand in one table. What else makes an arm, the
    figures and tables tell apart: :class:`graded.analysis.arms.Arm`.
    """
    experiments = dict.fromkeys((row["experiment"], _family(row)) for row in rows)
    return [family for family, _ in Counter(family for _, family in experiments).most_common()]


def figures(rows: Sequence[Row]) -> Iterator[Figure]:
    """Yield the figures of several experiments; what tells one from another of its kind stands in its title."""
    names: Counter[str] = Counter()
    titles: Counter[str] = Counter()
    for one in _each(rows):
        for figure in (
            figures_sweep.curves(one.rows, one.annotator, one.set, one.metric),
            figures_across.across(one.rows, one.annotator, one.set, one.metric),
            figures_sweep.mined(one.rows, one.annotator, one.set, one.mined),
        ):
            if figure:
                yield figure._replace(
                    name=_free(figure.name + one.suffix, names, "-{}"),
                    title=_free(one.title(figure.title), titles, " ({})"),
                    caption=one.caption(figure.caption),
                )


def tables(rows: Sequence[Row], scores: Scores | None = None) -> Iterator[Table]:
    """Yield the tables of several experiments; ``scores`` give Tables 1 and 2 their intervals; titles as of figures."""
    names: Counter[str] = Counter()
    titles: Counter[str] = Counter()
    for one in _each(rows):
        for table in (
            tables_paper.mixtures(one.rows, one.annotator, one.set, one.metric, scores),
            tables_paper.across(one.rows, one.annotator, one.set, one.metric, scores),
            tables_arms.objectives(one.rows, one.annotator, one.set, one.metric),
            tables_arms.mined(one.rows, one.annotator, one.set, one.mined),
        ):
            if table:
                yield table._replace(
                    name=_free(f"{table.name}-{one.annotator}{one.suffix}", names, "-{}"),
                    title=_free(one.title(table.title), titles, " ({})"),
                    caption=one.caption(table.caption),
                )


class _Part(NamedTuple):
    """What one figure or table draws: rows of one family and annotator, of one benchmark and name of the metric there.

    ``suffix`` stands behind a file's name, ``apart`` in a title: what differs among the parts. ``budget`` is how long
    all of its arms were trained.
    """

    rows: list[Row]
    annotator: str
    set: str
    metric: str
    suffix: str
    apart: tuple[str, ...]
    budget: str

    @property
    def mined(self) -> str:
        """The metric of mined negatives: MRR, searched as ``metric`` was, where it was measured."""
        wanted = MINED + self.metric.removeprefix(variants.plain(self.metric))
        mine = (row for row in self.rows if row["set"] == self.set and row["share_mined"] is not None)
        return wanted if any(row["metric"] == wanted for row in mine) else self.metric

    def title(self, text: str) -> str:
        """Return a title with what it does not yet say of this part."""
        return ", ".join((text, *(one for one in self.apart if one not in text.split(", "))))

    def caption(self, text: str) -> str:
        """Return a caption with how long was trained, and what stands behind the metric's name."""
        trained = f"Trained for {self.budget}." if self.budget else ""
        return " ".join(filter(None, (text, trained, variants.told([self.metric]))))


def _free(text: str, found: Counter[str], number: str) -> str:
    """Return ``text``, or ``text-2`` and so on where another has it; ``number`` says how the number is put."""
    found[text] += 1
    return text if found[text] == 1 else text + number.format(found[text])


def _family(row: Row) -> tuple[str, ...]:
    whole = row["target"] == "all"
    return str(row["encoder"]), str(row["count"]), str(row["recipe"] or ""), WHOLE if whole else SINGLE


def _budget(family: tuple[str, ...]) -> str:
    """Return ``3 epochs`` of a recipe, ``1 epoch`` of one."""
    budget = family[2].partition("#")[0].strip()
    return budget.removesuffix("s") if budget.startswith("1 ") else budget


def _each(rows: Sequence[Row]) -> Iterator[_Part]:
    """Yield what can be drawn together."""
    first, several = primary(rows), len(sets(rows)) > 1
    kinds = families(rows)
    budgets = len({_budget(family) for family in kinds}) > 1
    both = len({family[3] for family in kinds}) > 1
    annotators = len({row["annotator"] for row in rows}) > 1
    for family in kinds:
        mine = [row for row in rows if _family(row) == family]
        for annotator in dict.fromkeys(row["annotator"] for row in mine):
            for set_name in sets(mine):
                for metric in measured(mine, set_name, first):
                    ending = metric.removeprefix(first)
                    said = (
                        f"grades of {annotator}" * annotators,
                        set_name * several,
                        _budget(family) * budgets,
                        family[3] * both,
                        ending[1:],
                    )
                    yield _Part(
                        mine, annotator, set_name, metric, f"-{set_name}" * several + ending,
                        tuple(filter(None, said)), _budget(family),
                    )  # fmt: skip
