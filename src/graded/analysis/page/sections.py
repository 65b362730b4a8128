"""The sections of one run: results, across languages, data, agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graded.analysis import catalogue, figures_data, figures_run, published, variants
from graded.analysis.compare import LEVEL
from graded.analysis.figures import Figure, Row
from graded.analysis.page.blocks import Block, Column, Data, Section, Text, cell, drawing, reference
from graded.languages import language_name

#: Below this corrected p a difference counts as more than noise.
OUTCOMES = ("refused", "filtered", "truncated", "unparseable")


def results(rows: Sequence[Row], sets: Sequence[str], metric: str) -> Section:
    """Return base against tuned of each benchmark, all metrics in one table, published systems beside."""
    blocks: list[Block] = []
    for set_name, name in named(rows, sets, metric):
        if figure := figures_run.comparison(rows, set_name, name):
            blocks.append(drawing(noted(figure, name)))
    same = [row for row in rows if row["query_lang"] == row["doc_lang"]]
    blocks.append(metric_table(same, sets))
    blocks += [found for name in sets if (found := reference(rows, name, metric))]
    return Section("results", "Results", tuple(blocks))


def named(rows: Sequence[Row], sets: Sequence[str], metric: str) -> list[tuple[str, str]]:
    """Return (benchmark, name of ``metric`` there) of every benchmark that has it."""
    return [(name, one) for name in sets for one in catalogue.measured(rows, name, metric)]


def noted(figure: Figure, metric: str) -> Figure:
    """Return a figure whose caption says what stands behind the metric's name."""
    return figure._replace(caption=" ".join(filter(None, (figure.caption, variants.told([metric])))))


def metric_table(rows: Sequence[Row], sets: Sequence[str]) -> Data:
    """Return every metric of every benchmark and language: base, other baselines, tuned."""
    values = {(row["set"], row["query_lang"], row["metric"], row["system"]): row for row in rows}
    others = sorted({row["system"] for row in rows} - {"base", "tuned"})
    lines = []
    for set_name in sets:
        mine = [key for key in values if key[0] == set_name]
        for lang in published.in_order({key[1] for key in mine}):
            for metric in dict.fromkeys(key[2] for key in mine if key[1] == lang):
                found = {key[3]: values[key] for key in mine if key[1:3] == (lang, metric)}
                if "tuned" not in found or "base" not in found:
                    continue
                tuned, base = found["tuned"], found["base"]
                change = tuned["value"] - base["value"]
                beside = (values.get((set_name, lang, variants.exact(metric), name)) for name in others)
                exact = (fixed(one["value"]) if one else "" for one in beside)
                scores = (fixed(base["value"]), *exact, fixed(tuned["value"]), (f"{change:+.4f}", change))
                names = (set_name, language_name(lang), metric)
                lines.append((*names, *scores, sure(tuned), cell(tuned["queries"])))
    columns = (
        Column("set"), Column("language"), Column("metric"), Column("base", True),
        *(Column(name, True) for name in others), Column("fine-tuned", True), Column("change", True),
        Column("more than noise"), Column("queries", True),
    )  # fmt: skip
    caption = "More than noise: the paired randomisation test against the base, Holm-corrected, is below 0.05."
    caption = " ".join(filter(None, (caption, variants.told(row["metric"] for row in rows))))
    return Data("metrics", "All metrics", columns, tuple(lines), caption)


def across(rows: Sequence[Row], sets: Sequence[str], metric: str) -> Section | None:
    """Return the matrices of query and passage languages; None where no benchmark has them."""
    found = [
        noted(figure, name)
        for set_name, name in named(rows, sets, metric)
        if (figure := figures_run.matrix(rows, set_name, name))
    ]
    return Section("across", "Across languages", tuple(drawing(figure) for figure in found)) if found else None


def data(counts: Sequence[Mapping[str, Any]], agree: Mapping[str, Any]) -> Section:
    """Return how much there is of everything, and Figures 2 and 3.

    Args:
        counts: a row a language: lang, passages, queries, refused_queries, pairs, positives.
        agree: metrics/agree.json.
    """
    blocks: list[Block] = []
    columns = (
        Column("language"), Column("passages sampled", True), Column("queries", True), Column("queries refused", True),
        Column("pairs that train", True), Column("positives", True), Column("share positive", True),
    )  # fmt: skip
    lines = []
    for row in counts:
        share = row["positives"] / row["pairs"] if row["pairs"] else None
        names = ("passages", "queries", "refused_queries", "pairs", "positives")
        last = ("", None) if share is None else (f"{share:.0%}", share)
        lines.append((language_name(row["lang"]), *(cell(row[name]) for name in names), last if share else ""))
    blocks.append(
        Data(
            "counts",
            "How much there is",
            columns,
            tuple(lines),
            "Refused: the writer gave no query; counted here, used nowhere.",
        )
    )
    if figure := figures_data.grades(grade_counts(agree)):
        blocks.append(drawing(figure))
    if figure := figures_data.documents({row["lang"]: row["passages"] for row in counts}):
        blocks.append(drawing(figure))
    return Section("data", "Data", tuple(blocks))


def grade_counts(agree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return Figure 3's rows from metrics/agree.json; all kinds of non-grades are one class."""
    rows = []
    for lang, parts in agree.items():
        for annotator, part in parts.items():
            if "confusion" in part:
                continue
            rows += [
                {"annotator": annotator, "lang": lang, "grade": grade, "pairs": part[str(grade)]} for grade in range(4)
            ]
            if absent := sum(part.get(outcome, 0) for outcome in OUTCOMES):
                rows.append({"annotator": annotator, "lang": lang, "grade": None, "pairs": absent})
    return rows


def agreement(agree: Mapping[str, Any]) -> Section:
    """Return Figure 4 and the agreement figures of each couple of annotators."""
    couples = list(
        dict.fromkeys(name for parts in agree.values() for name, part in parts.items() if "confusion" in part)
    )
    blocks: list[Block] = []
    lines = []
    for couple in couples:
        first, _, second = couple.partition(" | ")
        found = {lang: parts[couple] for lang, parts in agree.items() if couple in parts}
        pairs = [
            {"lang": lang, "first": first, "second": second, "first_grade": one, "second_grade": two, "pairs": count}
            for lang, part in found.items()
            for one, row in enumerate(part["confusion"])
            for two, count in enumerate(row)
        ]
        kappa = {
            lang: "κ " + interval(part["kappa"], 2)
            for lang, part in found.items()
            if part["kappa"]["value"] is not None
        }
        if figure := figures_data.agreement(pairs, kappa):
            name = "figure4" if len(couples) == 1 else f"figure4-{first}-{second}"
            blocks.append(drawing(figure._replace(name=name)))
        for lang, part in found.items():
            names, shares = (couple, language_name(lang)), (percent(part["exact"]), percent(part["within_one"]))
            values = (cell(part["pairs"]), sortable(part["kappa"]), sortable(part["AC2"]))
            lean = part["lean"]
            lines.append((*names, *values, *shares, "" if lean is None else (f"{lean:+.3f}", lean)))
    columns = (
        Column("annotators"), Column("language"), Column("pairs", True), Column("κ [95%]", True),
        Column("AC2 [95%]", True), Column("same grade", True), Column("within one", True), Column("lean", True),
    )  # fmt: skip
    if not couples:
        text = "One annotator graded, so there is no agreement to show. A second one under `annotators` gives it."
        return Section("agreement", "Agreement", (Text(text, "dvc exp run -S 'annotators=[first,second]'"),))
    caption = "κ and Gwet's AC2 are quadratic weighted; lean: how much higher the second grades, on average."
    blocks.append(Data("agreement-table", "Agreement in numbers", columns, tuple(lines), caption))
    return Section("agreement", "Agreement", tuple(blocks))


def lead(rows: Sequence[Row], set_name: str, metric: str, tau: str) -> str:
    """Return one paragraph: what fine-tuning changed in a benchmark, and how sure that is."""
    metric = next(iter(catalogue.measured(rows, set_name, metric)), metric)
    tuned = [r for r in rows if (r["set"], r["metric"], r["system"]) == (set_name, metric, "tuned")]
    mine = [row for row in tuned if row["query_lang"] == row["doc_lang"]]
    bases = [
        r
        for r in rows
        if (r["set"], r["metric"], r["system"], r["query_lang"]) == (set_name, metric, "base", r["doc_lang"])
    ]
    if not mine or not bases:
        return f"Fine-tuned at τ = {tau}."
    after, before = (sum(row["value"] for row in part) / len(part) for part in (mine, bases))
    clear = [row for row in mine if row["p_holm"] is not None and row["p_holm"] < LEVEL]
    up = sum(row["difference"] > 0 for row in clear)
    sides = [f"better in {up}" if up else "", f"worse in {len(clear) - up}" if len(clear) > up else ""]
    told = " and ".join(side for side in sides if side)
    sureness = f"more than noise in {len(clear)} ({told})" if clear else "more than noise in none"
    many = f"over {len(mine)} languages" if len(mine) > 1 else f"in {language_name(mine[0]['query_lang'])}"
    return (
        f"Fine-tuning at τ = {tau} took {metric} on {set_name} from {before:.3f} to {after:.3f} on average {many}"
        f" ({after - before:+.3f}); the change is {sureness}. {variants.told([metric])}"
    ).strip()


def fixed(value: float) -> tuple[str, float]:
    """Return a value with four decimals and what it sorts by."""
    return f"{value:.4f}", value


def sure(row: Row) -> str:
    """Return whether a difference is more than noise, with its p; empty where it was not tested."""
    if row["p_holm"] is None:
        return ""
    return f"{'yes' if row['p_holm'] < LEVEL else 'no'} (p {row['p_holm']:.3f})"


def interval(value: Mapping[str, float | None], digits: int = 3) -> str:
    """Return ``0.71 [0.65, 0.76]``; empty where the value is not defined."""
    if value["value"] is None:
        return ""
    ends = (
        ""
        if value["low"] is None or value["high"] is None
        else f" [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    )
    return f"{value['value']:.{digits}f}{ends}"


def sortable(value: Mapping[str, float | None]) -> Any:
    """Return an interval as a cell that sorts by its value."""
    return "" if value["value"] is None else (interval(value), value["value"])


def percent(value: float | None) -> Any:
    """Return a share as a cell."""
    return "" if value is None else (f"{value:.1%}", value)
