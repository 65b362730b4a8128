"""The table of README.md's section "On real texts", from the results of `python -m tests.real --sweep figure5`.

    python -m tests.real_table ../figure5/graded/results/figure5.parquet

prints it as Markdown; with --write it takes the place of what stands between the marks in README.md.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from graded.analysis import published
from graded.analysis.figures import Row
from graded.experiments import tidy
from graded.formats.atomic import write_text
from graded.languages import language_name

README = Path(__file__).resolve().parents[1] / "README.md"
MARKS = ("<!-- real texts -->\n", "<!-- /real texts -->\n")
#: The set of each language.
SETS = {"fi": "xquad-fi", "ja": "jsquad"}


def table(rows: Sequence[Row], metric: str = "nDCG@10") -> str:
    """Return language x size x tau: the value, its interval, the positives; in bold what is above the base for sure."""
    mine = [row for row in rows if row["metric"] == metric and SETS.get(row["target"]) == row["set"]]
    mine = [row for row in mine if row["query_lang"] == row["doc_lang"] == row["target"]]
    taus = sorted({row["tau_target"] for row in mine if row["system"] == "tuned"})
    lines = [
        f"| {metric} | graded pairs | base | {' | '.join(f'tau {tau:g}' for tau in taus)} |",
        f"|---|---|---|{'---|' * len(taus)}",
    ]
    for lang in published.in_order({row["target"] for row in mine}):
        own = [row for row in mine if row["target"] == lang]
        base = next(row for row in own if row["system"] == "base")
        for size in sorted({row["size"] for row in own}):
            found = {row["tau_target"]: row for row in own if row["size"] == size and row["system"] == "tuned"}
            cells = (cell(found[tau]) if tau in found else "not run" for tau in taus)
            name = f"{language_name(lang)}, {base['queries']:,} queries"
            lines.append(f"| {name} | {size:,} | {base['value']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(row: Row) -> str:
    """Return one arm: value, 95% interval, positives; bold where the paired interval of its change lies above 0."""
    value = f"{row['value']:.3f}"
    if row["difference_low"] > 0:
        value = f"**{value}**"
    elif row["difference_high"] < 0:
        value = f"{value} (below)"
    return f"{value} [{row['low']:.3f}, {row['high']:.3f}], {row['train_positives']:,}"


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    made = table(tidy.read(options.results))
    print(made)
    if options.write:
        text = README.read_text(encoding="utf-8")
        between = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
        write_text(README, re.sub(between, lambda _: MARKS[0] + made + MARKS[1], text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
