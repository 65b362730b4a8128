"""Figures of the data: documents a language (Figure 2), grades (Figure 3), agreement of two annotators (Figure 4).

Figure numbers are the paper's ("The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from graded.analysis import figures_theme as theme
from graded.analysis import published
from graded.analysis.figures import Figure, Key, Panel, Row
from graded.languages import language_name

#: An axis of names: no line, no ticks.
PLAIN = {"domain": False, "ticks": False}
#: What the fifth class of Figure 3 holds: replies that are no grade.
NOT_GRADED = "not graded"


def documents(counts: Mapping[str, int]) -> Figure | None:
    """Return Figure 2: MIRACL's passages of each language (published), and those of this run, on a log scale.

    Args:
        counts: language -> passages of this run, at least 0.
    """
    import altair as alt

    if not counts:
        return None
    sizes, what = published.load()["miracl"]["passages"], "passages sampled here"
    order = published.in_order(set(counts))
    rows = [
        {"language": language_name(lang), "series": name, "passages": int(value)}
        for lang in order
        for name, value in (("in MIRACL", sizes.get(lang)), (what, counts[lang]))
        if value
    ]
    for row in rows:
        row["about"] = f"{row['language']}: {row['passages']:,} {row['series']}"
    powers = alt.Axis(format="~s", values=[10**power for power in range(10)])
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("language:N", sort=[language_name(lang) for lang in order], title=None, axis=PLAIN),
        x=alt.X("passages:Q", scale=alt.Scale(type="log"), title="passages (log scale)", axis=powers),
        description="about:N",
    )
    colours = theme.scale(["in MIRACL", what], ["muted", "one"])
    chart = alt.layer(
        base.mark_line(color=theme.light("grid"), strokeWidth=2).encode(detail="language:N"),
        base.mark_point(filled=True, size=90, opacity=1).encode(color=alt.Color("series:N", scale=colours)),
    ).properties(width=360, height=26 * len(order))
    caption = "MIRACL's passages of each language, as published, beside those of this run."
    keys = (Key("in MIRACL (published)", "muted", "circle"), Key(what, "one", "circle"))
    return Figure("figure2", "Passages a language", caption, (Panel("", chart),), keys, tuple(rows), columns=1)


def grades(counts: Sequence[Row]) -> Figure | None:
    """Return Figure 3: how each annotator's grades are spread in each language, a panel an annotator.

    Args:
        counts: rows of annotator, lang, grade (0 to 3, or None for a reply that is no grade), pairs.
    """
    import altair as alt

    if not counts:
        return None
    totals: dict[tuple[str, str], int] = defaultdict(int)
    cells: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in counts:
        name = NOT_GRADED if row["grade"] is None else f"{row['grade']:g}"
        totals[row["annotator"], row["lang"]] += row["pairs"]
        cells[row["annotator"], row["lang"], name] += row["pairs"]
    classes = [*"0123", *sorted({name for _, _, name in cells} - {*"0123"})]
    order = published.in_order({lang for _, lang in totals})
    rows: list[dict[str, Any]] = []
    for annotator, lang, name in sorted(cells, key=lambda cell: (cell[0], classes.index(cell[2]))):
        pairs = cells[annotator, lang, name]
        share = pairs / max(totals[annotator, lang], 1)
        language = language_name(lang)
        about = f"{language}, {annotator}: {name if name == NOT_GRADED else 'grade ' + name}, {share:.1%} ({pairs:,})"
        rows.append(
            {"annotator": annotator, "language": language, "grade": name, "pairs": pairs, "share": round(share, 4)}
            | {"place": classes.index(name), "about": about}
        )
    tokens = [*theme.GRADES, *["absent"] * (len(classes) - 4)]
    panels = []
    for annotator in dict.fromkeys(row["annotator"] for row in rows):
        mine = [row for row in rows if row["annotator"] == annotator]
        chart = (
            alt.Chart(alt.Data(values=mine))
            .mark_bar(height=17, stroke=theme.light("surface"), strokeWidth=0.6)
            .encode(
                y=alt.Y("language:N", sort=[language_name(lang) for lang in order], title=None, axis=PLAIN),
                x=alt.X("share:Q", stack="zero", title="share of pairs", axis=alt.Axis(format=".0%"))
                .scale(domain=[0, 1]),
                color=alt.Color("grade:N", scale=theme.scale(classes, tokens)),
                order="place:Q",
                description="about:N",
            )
            .properties(width=270, height=26 * len(order))
        )  # fmt: skip
        panels.append(Panel(annotator, chart))
    keys = tuple(
        Key(name if name == NOT_GRADED else f"grade {name}", tokens[at])
        for at, name in enumerate(classes)
        if any(row["grade"] == name for row in rows)
    )
    caption = "Share of each grade among the query-passage pairs that an annotator read; refusals are never grade 0."
    shown = tuple({key: row[key] for key in ("annotator", "language", "grade", "pairs", "share")} for row in rows)
    return Figure("figure3", "Grades", caption, tuple(panels), keys, shown, columns=2)


def agreement(pairs: Sequence[Row], kappa: Mapping[str, str] | None = None) -> Figure | None:
    """Return Figure 4: of each grade of the first annotator, how the second graded; a panel a language.

    Args:
        pairs: rows of lang, first, second (annotators), first_grade, second_grade (0 to 3), pairs.
        kappa: language -> text shown in the panel's title, such as ``κ 0.71 [0.65, 0.76]``.
    """

    if not pairs:
        return None
    first, second = str(pairs[0]["first"]), str(pairs[0]["second"])
    totals: dict[tuple[str, int], int] = defaultdict(int)
    for row in pairs:
        totals[row["lang"], row["first_grade"]] += row["pairs"]
    found = {(row["lang"], row["first_grade"], row["second_grade"]): row["pairs"] for row in pairs}
    panels, shown = [], []
    for lang in published.in_order({row["lang"] for row in pairs}):
        cells = []
        for one in range(4):
            for two in range(4):
                count, total = found.get((lang, one, two), 0), totals.get((lang, one), 0)
                share = count / total if total else 0.0
                about = f"{first} {one}, {second} {two}: {share:.0%} of {total:,} ({count:,})"
                cells.append({"first": one, "second": two, "pairs": count, "share": round(share, 4), "about": about})
        chart = heat(cells, y="first:O", x="second:O", value="share:Q", text=".0%", y_title=first, x_title=second)
        language = language_name(lang)
        panels.append(Panel(f"{language}   {kappa[lang]}" if kappa and lang in kappa else language, chart))
        shown += [{"language": language, **{key: cell[key] for key in cell if key != "about"}} for cell in cells]
    caption = (
        f"Each row: of the pairs that {first} gave this grade, the share that {second} gave each grade. "
        "κ is quadratic weighted."
    )
    return Figure("figure4", f"Agreement of {first} and {second}", caption, tuple(panels), (), tuple(shown))


def heat(
    cells: Sequence[Row], *, y: str, x: str, value: str, text: str, y_title: str, x_title: str, **size: float
) -> Any:
    """Return a heat map: opacity from ``value`` (0 to 1) over the surface, so that it fits either theme.

    Text stays in the ink colour: the strongest cell keeps a contrast of 4.5:1.
    """
    import altair as alt

    base = alt.Chart(alt.Data(values=list(cells))).encode(
        y=alt.Y(y, title=y_title, sort=None).axis(domain=False, ticks=False),
        x=alt.X(x, title=x_title, sort=None).axis(domain=False, ticks=False, labelAngle=0),
    )
    opacity = alt.Opacity(value, legend=None, scale=alt.Scale(domain=[0, 1], range=[0.03, 0.75]))
    rect = base.mark_rect(color=theme.light("heat"), cornerRadius=2, stroke=theme.light("surface"), strokeWidth=1.5)
    label = base.mark_text(fontSize=10.5, color=theme.light("ink"), aria=False).encode(
        text=alt.Text(value, format=text)
    )
    return alt.layer(rect.encode(opacity=opacity, description="about:N"), label).properties(
        width=size.get("width", 190), height=size.get("height", 170)
    )
