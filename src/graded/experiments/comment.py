"""A review as GitHub Markdown; names and values come from a branch that nobody has read yet, so all are escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from graded.analysis.variants import told
from graded.errors import many
from graded.experiments.review import Review, Row

#: The first line of the comment, by which the next one finds it.
MARKER = "<!-- graded review -->"
#: Most characters that GitHub takes in a comment, less some.
LIMIT = 60_000
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def markdown(found: Review, site: str | None = None, run: str | None = None) -> str:
    """Return the comment.

    Args:
        site: address of the repository, for links to its files; None leaves them unlinked.
        run: address of the workflow's run, where report/ hangs; None leaves the link out.
    """
    parts = [MARKER, f"### graded: `{found.base[:7]}` → `{found.head[:7]}`", drifted(found)]
    parts.append(params(found))
    parts += metrics(found)
    if found.figures:
        links = (f"- [{cell(name)}]({site}/blob/{found.head}/{quote(name)})" if site else f"- {cell(name)}"
                 for name in found.figures)  # fmt: skip
        parts.append("**Figures changed**\n\n" + "\n".join(links))
    if run:
        parts.append(f"[The report and its figures]({run}#artifacts)")
    return cut("\n\n".join(part for part in parts if part))


def cut(text: str) -> str:
    """Return a text that fits into a comment: whole lines, an open fold closed, and a last line that says so."""
    if len(text) <= LIMIT:
        return text
    kept = text[:LIMIT].rsplit("\n", 1)[0]
    # Every other < is escaped, so a tag here is one of ours; an open one would swallow what follows.
    folds = kept.count("<details>") - kept.count("</details>")
    return "\n\n".join([kept, *["</details>"] * folds, "(cut: too long for a comment)"])


def drifted(found: Review) -> str:
    """Return what the comment says of drift, and of stages that are behind."""
    if found.drift:
        names = ", ".join(cell(name) for name in found.drift)
        mend = "`dvc repro`, then commit dvc.lock and metrics/."
        return f"**dvc.lock has drifted**: {names} would run, and what builds on them. {mend}"
    if found.behind:
        names = ", ".join(cell(name) for name in found.behind)
        what = "is still the base's: experiments run up to evaluate. `dvc repro` makes it anew; the metrics stand."
        return f"**dvc.lock** is that of dvc.yaml, params.yaml and the sources. {names} {what}"
    return "**dvc.lock** is that of dvc.yaml, params.yaml and the sources: nothing would run."


def params(found: Review) -> str:
    """Return the table of changed params, or ''."""
    if not found.params:
        return ""
    rows = [[cell(name), cell(old), cell(new)] for name, (old, new) in found.params.items()]
    return "**Params**\n\n" + table(["param", "before", "after"], rows)


def metrics(found: Review) -> list[str]:
    """Return the table of each set: languages and means in sight, cross-lingual directions folded."""
    changed = [row for row in found.rows if row.before != row.after or " → " in row.named]
    if not found.rows:
        return ["No metrics/evaluate.json here, nor before."]
    if not changed:
        return [f"**{cell(found.metric)}**: no value changed."]
    parts = []
    for name in sorted(dict.fromkeys(row.set for row in changed), key=lambda name: name in found.dev):
        rows = [row for row in found.rows if row.set == name]
        crossed = [row for row in rows if "-" in row.label and not row.label.startswith("mean")]
        shown = [row for row in rows if row not in crossed]
        tuning = " (role: dev)" if name in found.dev else ""
        parts.append(f"**{cell(name)}{tuning}, {cell(found.metric)}**\n\n{rows_table(shown)}")
        if crossed:
            summary = f"{many(len(crossed), 'cross-lingual direction')}, {tally(crossed)}"
            parts.append(f"<details><summary>{summary}</summary>\n\n{rows_table(crossed)}\n\n</details>")
    note = "p: paired randomisation test over queries, Holm-corrected over the languages of a set; noise: p ≥ 0.05."
    if found.untested:
        note = f"Not tested against noise: {cell(found.untested, 300)}"
    return [*parts, note, cell(told(part for row in found.rows for part in row.named.split(" → ")), 300)]


def tally(rows: Iterable[Row]) -> str:
    """Return how many rows have which verdict, in words."""
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{verdicts.count(name)} {name}" for name in dict.fromkeys(verdicts))


def rows_table(rows: Iterable[Row]) -> str:
    """Return the rows as a table."""
    lines = []
    for row in rows:
        change = "" if row.before is None or row.after is None else f"{row.after - row.before:+.4f}"
        interval = f"{row.test.low:+.4f} to {row.test.high:+.4f}" if row.test else ""
        verdict = "" if row.label.startswith("mean") and row.verdict == "not tested" else row.verdict
        p = "" if row.p is None else f"{row.p:.4f}"
        shown = f"**{verdict}**" if verdict in ("higher", "lower") else verdict
        label = cell(f"{row.label} ({row.named})" if row.named else row.label)
        lines.append([label, number(row.before), number(row.after), change, interval, p, shown])
    return table(["", "before", "after", "change", "95% interval", "p", ""], lines, numbers=range(1, 6))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Return a Markdown table; columns ``numbers`` stand to the right."""
    right = set(numbers)
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def number(value: float | None) -> str:
    """Return four digits, or a dash for a value that is not there."""
    return "–" if value is None else f"{value:.4f}"


def cell(value: Any, most: int = 120) -> str:
    """Return a value that cannot be markup, a mention, a link or a line end, at most ``most`` characters of it."""
    text = "–" if value is None else value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    text = text if len(text) <= most else f"{text[:most]}…"
    escaped = SPECIAL.sub(r"\\\1", html.escape(text, quote=False))
    return escaped.replace("@", "&#64;").replace("://", ":&#47;/").replace("www.", "www&#46;")
