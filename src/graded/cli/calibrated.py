"""What `graded calibrate` found, told: the table, the `-S` line, calibrate.json and its figure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from graded import params
from graded.analysis.calibrate import Look
from graded.analysis.race import Result
from graded.console import say
from graded.experiments import calibration, grid
from graded.formats import atomic

WIDTH = 100


class Found(NamedTuple):
    """Outcome of one model: full size in pairs a language, share of the grid's training, seconds (None: not recorded),
    and the base encoder's mean for each subject."""

    asked: calibration.Question
    full: int
    outcome: Result
    share: float
    seconds: float | None
    base: dict[str, float]


def tell(subject: str, look: Look) -> None:
    """Say what one look showed."""
    means = ", ".join(f"{arm}: {mean:.4f}" for arm, mean in look.means.items())
    gone = "".join(
        f"; {what} {', '.join(arms)}" for what, arms in (("out", look.out), ("left behind for cost", look.left)) if arms
    )
    say(f"look {subject} at {look.size:,} pairs, {look.queries} queries: {means}{gone}")


def status(look: Look, arm: str, open_arms: tuple[str, ...], best: str) -> str:
    """Return what is shown about an arm, in words."""
    if arm == best:
        return "best shown" if not open_arms else "leads"
    return "shown worse" if arm not in open_arms else "no difference shown"


def rows(found: Found) -> list[dict[str, Any]]:
    """Return one row for each subject and arm: its last look, how far behind the leader, and what that shows."""
    listed = []
    for subject, looks in found.outcome.looks.items():
        verdict = found.outcome.verdicts[subject]
        for arm in found.asked.arms[subject]:
            last = next(look for look in reversed(looks) if arm in look.means)
            gap = last.gaps[arm]
            listed.append(
                {
                    "target": found.asked.target,
                    "extra": found.asked.extra,
                    "language": subject,
                    "tau": arm,
                    "size": last.size,
                    "queries": last.queries,
                    "score": last.means[arm],
                    "behind": gap.mean,
                    "behind_low": gap.low,
                    "behind_high": gap.high,
                    "leads": last.leads[arm],
                    "shown": status(last, arm, verdict.open, verdict.best),
                    "base": found.base[subject],
                }
            )
    return listed


def command(found: Found) -> str:
    """Return the `dvc exp run` line that uses what was found."""
    best = {subject: verdict.best for subject, verdict in found.outcome.verdicts.items()}
    values: dict[str, Any] = {"pair.target": found.asked.target}
    if found.asked.extra is not None:
        values["pair.extra.language"] = found.asked.extra
    values |= {"tau": calibration.tau_of(found.asked, best), "pair.size": found.full}
    settings = (one.removeprefix("++") for one in grid.overrides(values, params.load()))
    return "dvc exp run " + " ".join(f"-S {shlex.quote(one)}" for one in settings)


def write(found: list[Found], metric: str, confidence: float, out: Path) -> None:
    """Print the table and the line to use; write calibrate.json, calibrate.svg and calibrate.png to ``out``."""
    listed = [row for one in found for row in rows(one)]
    table(listed, metric, confidence)
    for one in found:
        for subject, verdict in one.outcome.verdicts.items():
            say(sentence(one, subject, verdict.best, verdict.open))
    record = {
        "metric": metric,
        "confidence": confidence,
        "models": [
            {
                "target": one.asked.target,
                "extra": one.asked.extra,
                "full_size": one.full,
                "share_of_grid": round(one.share, 4),
                "seconds": one.seconds,
                "training_noise": {
                    subject: {"sd": round(noise.variance**0.5, 6), "freedom": noise.freedom}
                    for subject, noise in one.outcome.noise.items()
                },
                "use": command(one),
            }
            for one in found
        ],
        "arms": listed,
    }
    atomic.write_json(out / "calibrate.json", record)
    figure(listed, metric, confidence, out)
    for one in found:
        say(f"use it: {command(one)}")
    say(f"kept in {out}/calibrate.json, .svg and .png")


def sentence(found: Found, subject: str, best: str, open_arms: tuple[str, ...]) -> str:
    """Return the finding of one subject in one line."""
    last = found.outcome.looks[subject][-1]
    name = f"{subject}: tau {best}"
    if not open_arms:
        text = f"{name} is shown to beat every other"
    elif len(open_arms) == len(found.asked.arms[subject]) - 1:
        text = f"{subject}: no difference shown; tau {best} leads in {last.leads[best]:.0%} of query draws"
    else:
        text = f"{name} leads; no difference shown against {', '.join(open_arms)}"
    if last.means[best] < found.base[subject]:
        below = f"{last.means[best]:.4f} < {found.base[subject]:.4f}"
        text += f"; it is below the base encoder ({below}) at {last.size:,} pairs"
    return text


def table(listed: list[dict[str, Any]], metric: str, confidence: float) -> None:
    """Print one line for each language and tau, within 100 columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = f"{metric} on development queries; intervals hold together with {confidence:.0%} confidence"
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for at, column in enumerate(("language", "tau", "pairs", metric, "base", "behind the leader", "leads", "")):
        least = min(max(len(row["tau"]) for row in listed), 20) if at == 1 else None
        shown.add_column(column, justify="right" if 1 < at < 7 else "left", no_wrap=at != 1, min_width=least)
    last = None
    for row in listed:
        gap = (
            f"{row['behind']:.4f} [{row['behind_low']:+.4f}, {row['behind_high']:+.4f}]" if row["behind_high"] else "-"
        )
        shown.add_row(
            row["language"] if row["language"] != last else "",
            row["tau"],
            f"{row['size']:,}",
            f"{row['score']:.4f}",
            f"{row['base']:.4f}",
            gap,
            f"{row['leads']:.0%}",
            row["shown"],
        )
        last = row["language"]
    Console(width=WIDTH, file=sys.stdout, highlight=False).print(shown)


def figure(listed: list[dict[str, Any]], metric: str, confidence: float, out: Path) -> None:
    """Write the figure: for each language how far each tau is behind the leader, with its interval."""
    import altair as alt

    data = alt.Data(
        values=[
            {**row, "ahead": -row["behind"], "from": -row["behind_high"], "to": -row["behind_low"]} for row in listed
        ]
    )
    x = alt.X("ahead:Q", title=f"{metric}, leader = 0 ({confidence:.0%} simultaneous intervals)")
    base = alt.Chart(data).encode(y=alt.Y("tau:N", title="τ"), color=alt.Color("shown:N", title=None))
    chart = alt.layer(
        base.mark_rule().encode(x=alt.X("from:Q"), x2="to:Q"),
        base.mark_point(filled=True, size=60).encode(x=x),
    ).properties(width=260, height=alt.Step(22))
    whole = chart.facet(facet=alt.Facet("language:N", title=None), columns=3).resolve_scale(x="shared", y="independent")
    for name in ("calibrate.svg", "calibrate.png"):
        with atomic.atomic(out / name) as temporary:
            whole.save(str(temporary), format=name.rsplit(".", 1)[1], scale_factor=2)
