"""Tables 1 and 2 in the paper's layout and colours.

Source: "The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval", Sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from graded.analysis import published
from graded.analysis.arms import Arm, arm, comparable, groups, sized, uniform, without
from graded.analysis.figures import Row
from graded.analysis.figures_rows import language, trained, tuned
from graded.analysis.tables import Cell, Scores, Table, change, name, plain


def mixtures(
    rows: Sequence[Row], annotator: str, set_name: str, metric: str, scores: Scores | None = None
) -> Table | None:
    """Return Table 1: a target language alone, and the relative change when a second language is added, for each tau.

    Of several sizes of the target the one of most arms counts, and of those the largest; the target alone has the same.
    Several sizes of a second language are rows of their own.

    Args:
        rows: tidy results.
        annotator: whose grades trained.
        set_name: the benchmark.
        metric: the metric.
        scores: values of single queries, for the intervals.
    """
    mine = [
        row
        for row in tuned(rows, set_name, metric, annotator)
        if row["objective"] == "infonce"
        and not row["share_mined"]
        and row["query_lang"] == row["doc_lang"] == row["target"]
    ]
    apart = without(row for row in mine if row["extra"])
    mine = [row for row in mine if uniform(row)]
    mixed = comparable([row for row in mine if row["extra"]], language, ("tau", "extra", "extra_size"))
    if not mixed:
        return None
    taus = sorted({row["tau_target"] for row in mixed})
    several = len({row["extra_size"] for row in mixed}) > 1
    body: list[tuple[Cell, ...]] = []
    for lang in published.in_order({row["target"] for row in mixed}):
        added = [row for row in mixed if row["target"] == lang]
        alone = dict(groups((row for row in mine if _stem(row) == _stem(added[0]) and row["extra"] is None), _tau))
        body.append((name(lang), name("-"), *(plain(alone.get(tau), published.table1) for tau in taus)))
        for extra in published.in_order({row["extra"] for row in added}):
            for size, own in groups(
                (row for row in added if row["extra"] == extra), lambda row: row["extra_size"] or 0
            ):
                cells = dict(groups(own, _tau))
                changes = (change(cells.get(tau), alone.get(tau), scores, published.table1) for tau in taus)
                told = f"{extra}, {f'{size:,}' if size else 'all'}" if several else extra
                body.append((name(""), name(told), *changes))
    caption = (
        f"{metric} on {set_name}: the target language alone, then the change when a second language is added. "
        "Green: the addition helps, red: it harms; in brackets the 95% interval over queries. "
        f"{_amounts(mixed)}{apart}"
    )
    columns = ("Target", "Added", *(f"τ = {tau:g}" for tau in taus))
    return Table("table1", "Mixtures of languages (Table 1)", caption, columns, tuple(body), heads=2)


def across(
    rows: Sequence[Row], annotator: str, set_name: str, metric: str, scores: Scores | None = None
) -> Table | None:
    """Return Table 2: relative change from the lowest tau to the highest, query language x passage language.

    Models are trained on the query language (or on all), with one tau; of several sizes the one of most arms counts,
    of those the largest. Arguments as for :func:`mixtures`.
    """
    every = trained(rows, set_name, metric, annotator)
    mine = [row for row in every if uniform(row)]
    if all(row["query_lang"] == row["doc_lang"] for row in mine):
        return None
    mine = comparable(mine, language, ("tau",))
    taus = sorted({row["tau_target"] for row in mine})
    if len(taus) < 2:
        return None
    ends = (taus[0], taus[-1])

    queries = published.in_order({row["query_lang"] for row in mine})
    passages = published.in_order({row["doc_lang"] for row in mine})
    body = []
    for query in queries:
        cells = [name(query)]
        for passage in passages:
            found = dict(groups((r for r in mine if (r["query_lang"], r["doc_lang"]) == (query, passage)), _tau))
            cells.append(
                change(found.get(ends[1]), found.get(ends[0]), scores, lambda row: published.table2(row, ends))
            )
        body.append(tuple(cells))
    caption = (
        f"Change of {metric} on {set_name} from τ = {ends[0]:g} to τ = {ends[1]:g}; rows are languages of the queries, "
        f"columns of the passages. Red favours the lower threshold, green the higher. Trained on {sized(mine)}."
        f"{without(every)}"
    )
    levels = published.load()["languages"]["resource"]
    bands = ["Low-Med resource" if levels.get(lang) in ("low", "medium") else "High resource" for lang in passages]
    spans = (
        tuple((band, bands.count(band)) for band in dict.fromkeys(bands))
        if bands == sorted(bands, reverse=True)
        else ()
    )
    return Table(
        "table2", "Threshold across languages (Table 2)", caption, ("Queries", *passages), tuple(body), groups=spans
    )


def _tau(row: Row) -> float:
    return row["tau_target"]


def _stem(row: Row) -> Arm:
    """Return a row's arm without what Table 1 shows, so that a mixture and its target alone have the same."""
    return arm(row)._replace(size=row["size"], tau="", extra=None, extra_size=None)


def _amounts(mixed: Sequence[Row]) -> str:
    """Return on how much the target was trained, and what was added to it where that has one size."""
    sizes = {row["extra_size"] for row in mixed}
    added = next(iter(sizes)) if len(sizes) == 1 else None
    known = all(row["size"] for row in mixed)
    told = f"The target has {sized(mixed)}" if known else ""
    return f"{told}{f', the second language {added:,}' if added and told else ''}." if told else ""
