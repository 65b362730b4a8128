"""Tables 1 and 2 in the paper's layout and colours.

Source: "The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval", Sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from graded.analysis import published
from graded.analysis.figures import Row
from graded.analysis.figures_rows import groups, largest, trained, tuned
from graded.analysis.tables import Cell, Scores, Table, change, name, plain


def mixtures(
    rows: Sequence[Row], annotator: str, set_name: str, metric: str, scores: Scores | None = None
) -> Table | None:
    """Return Table 1: a target language alone, and the relative change when a second language is added, for each tau.

    Of several sizes of the mixture the largest counts, and the target alone has the same.

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
        and (row["extra"] is None or row["tau_extra"] in (None, row["tau_target"]))
    ]
    mixed = largest([row for row in mine if row["extra"] is not None], lambda row: row["target"])
    if not mixed:
        return None
    taus = sorted({row["tau_target"] for row in mixed})
    body: list[tuple[Cell, ...]] = []
    for lang in published.in_order({row["target"] for row in mixed}):
        sizes = {row["size"] for row in mixed if row["target"] == lang}
        own = [row for row in mine if (row["target"], row["extra"]) == (lang, None) and row["size"] in sizes]
        alone = dict(groups(own, _tau))
        first = [name(lang), name("-"), *(plain(alone.get(tau), published.table1) for tau in taus)]
        body.append(tuple(first))
        for extra in published.in_order({row["extra"] for row in mixed if row["target"] == lang}):
            cells = dict(groups((r for r in mixed if (r["target"], r["extra"]) == (lang, extra)), _tau))
            changes = (change(cells.get(tau), alone.get(tau), scores, published.table1) for tau in taus)
            body.append((name(""), name(extra), *changes))
    caption = (
        f"{metric} on {set_name}: the target language alone, then the change when a second language is added. "
        "Green: the addition helps, red: it harms; in brackets the 95% interval over queries."
    )
    columns = ("Target", "Added", *(f"τ = {tau:g}" for tau in taus))
    return Table("table1", "Mixtures of languages (Table 1)", caption, columns, tuple(body), heads=2)


def across(
    rows: Sequence[Row], annotator: str, set_name: str, metric: str, scores: Scores | None = None
) -> Table | None:
    """Return Table 2: relative change from the lowest tau to the highest, query language x passage language.

    Arguments as for :func:`mixtures`; models are trained on the query language, at the largest size.
    """
    mine = [row for row in trained(rows, set_name, metric, annotator) if row["target"] in ("all", row["query_lang"])]
    if all(row["query_lang"] == row["doc_lang"] for row in mine):
        return None
    mine = largest(mine, lambda row: row["query_lang"])
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
        "columns of the passages. Red favours the lower threshold, green the higher."
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
