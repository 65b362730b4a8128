"""What `graded calibrate` found, told: the table, the `-S` line, calibrate.json and its figure."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from graded import params
from graded.analysis.calibrate import Look
from graded.analysis.race import Result
from graded.cli import terminal
from graded.console import say
from graded.errors import many
from graded.experiments import calibration, grid
from graded.formats import atomic


class Found(NamedTuple):
    """Outcome of one model: full size in pairs a language, and of the second language of a mixture; share of the grid's
    training, seconds (None: not recorded), and the base encoder's mean for each subject."""

    asked: calibration.Question
    full: int
    full_extra: int | None
    outcome: Result
    share: float
    seconds: float | None
    base: dict[str, float]


def tell(subject: str, look: Look) -> None:
    """Say what one look showed."""
    means = ", ".join(f"tau {arm} {mean:.4f}" for arm, mean in look.means.items())
    gone = "".join(
        f"; {what} {', '.join(arms)}"
        for what, arms in (("shown worse: tau", look.out), ("left behind for cost: tau", look.left))
        if arms
    )
    text = f"look {subject} at {look.size:,} pairs, {many(look.queries, 'query')}: {means}{gone}"
    say(textwrap.fill(text, terminal.WIDTH, subsequent_indent="  ", break_on_hyphens=False))


def status(arm: str, open_arms: tuple[str, ...], best: str) -> str:
    """Return what is shown about an arm, in words."""
    if arm == best:
        return "best shown" if not open_arms else "leads"
    return "shown worse" if arm not in open_arms else "no difference shown"


def rows(found: Found) -> list[dict[str, Any]]:
    """Return one row for each subject and arm: its last look, how far behind the leader, and what that shows.

    An interval as wide as the metric's whole range is none: too few queries differ for a bootstrap to give one.
    """
    listed = []
    for subject, looks in found.outcome.looks.items():
        verdict = found.outcome.verdicts[subject]
        for arm in found.asked.arms[subject]:
            last = next(look for look in reversed(looks) if arm in look.means)
            gap = last.gaps[arm]
            known = not (gap.low <= -1.0 and gap.high >= 1.0)
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
                    "behind_low": gap.low if known else None,
                    "behind_high": gap.high if known else None,
                    "leads": last.leads[arm],
                    "shown": status(arm, verdict.open, verdict.best),
                    "base": found.base[subject],
                }
            )
    return listed


def command(found: Found) -> str:
    """Return the `dvc exp run` line that uses what was found."""
    best = {subject: verdict.best for subject, verdict in found.outcome.verdicts.items()}
    values: dict[str, Any] = {"pair.target": found.asked.target}
    if calibration.left_out(found.asked, params.load()):
        values["pair.extra.language"] = None
    if found.asked.extra is not None:
        values |= {"pair.extra.language": found.asked.extra, "pair.extra.size": found.full_extra}
    values |= {"tau": calibration.tau_of(found.asked, best), "pair.size": found.full}
    settings = (one.removeprefix("++") for one in grid.overrides(values, params.load()))
    return "dvc exp run " + " ".join(f"-S {shlex.quote(one)}" for one in settings)


def write(found: list[Found], metric: str, confidence: float, out: Path) -> None:
    """Print the table and the line to use; write calibrate.json and the figure (.vl.json, .svg, .png) to ``out``."""
    from graded.analysis import figures_calibrate, figures_draw

    listed = [row for one in found for row in rows(one)]
    table(listed, metric, confidence)
    if any(row["behind_low"] is None for row in listed):
        say("no interval: the two differ on too few queries to give one; more development queries would")
    for one in found:
        for subject, verdict in one.outcome.verdicts.items():
            for line in sentences(one, subject, verdict.best, verdict.open):
                say(line)
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
    figures_draw.save(figures_calibrate.calibration(listed, metric, confidence), out)
    for one in found:
        say(f"use it: {command(one)}")
    say(f"kept in {out}/calibrate.json; the figure: calibrate.png, .svg, .vl.json")


def sentences(found: Found, subject: str, best: str, open_arms: tuple[str, ...]) -> list[str]:
    """Return the finding of one subject: a line, and one more for each thing to know before it is used."""
    last = found.outcome.looks[subject][-1]
    if not open_arms:
        lines = [last_left(subject, best, found.outcome.looks[subject])]
    elif len(open_arms) == len(found.asked.arms[subject]) - 1:
        lines = [f"{subject}: no difference shown; tau {best} leads in {last.leads[best]:.0%} of query draws"]
    else:
        lines = [f"{subject}: tau {best} leads; no difference shown against {', '.join(open_arms)}"]
    lines[0] += f" (at {many(last.size, 'pair')})"
    if found.asked.extra is None and any(float(arm) < float(best) for arm in open_arms):
        lower = min(open_arms, key=float)
        lines.append(f"  tau {lower} keeps more positives and is not shown to be worse")
    if last.means[best] < found.base[subject]:
        below = f"{last.means[best]:.4f} < {found.base[subject]:.4f}"
        lines.append(f"  at {last.size:,} pairs it is below the base encoder ({below}): train on more")
    return lines


def last_left(subject: str, best: str, looks: list[Look]) -> str:
    """Return what is shown where every other arm went out: those that the last one beat, and those that another did."""
    beaten = {arm for look in looks if look.leader == best for arm, gap in look.gaps.items() if gap.low > 1e-12}
    others = dict.fromkeys(arm for look in looks for arm in look.out if arm not in {*beaten, best})
    if not others:
        return f"{subject}: tau {best} is shown to beat every other"
    own = f"shown to beat {', '.join(sorted(beaten))}; " if beaten else ""
    return f"{subject}: tau {best} is the last one left: {own}{', '.join(others)} went out against another tau"


def behind(row: dict[str, Any]) -> str:
    """Return how far an arm is behind the leader, as a cell."""
    if row["shown"] in ("best shown", "leads"):
        return "-"
    if row["behind_low"] is None:
        return f"{row['behind']:.4f} (no interval)"
    if not row["behind_high"]:
        return "equal on every query"
    return f"{row['behind']:.4f} [{row['behind_low']:+.4f}, {row['behind_high']:+.4f}]"


def table(listed: list[dict[str, Any]], metric: str, confidence: float) -> None:
    """Print one line for each language and tau, within 100 columns."""
    title = f"{metric} on development queries; intervals hold together with {confidence:.0%} confidence"
    shown = terminal.table(title, pad_edge=False)
    for at, column in enumerate(("language", "tau", "pairs", metric, "base", "behind the leader", "leads", "")):
        least = min(max(len(row["tau"]) for row in listed), 20) if at == 1 else None
        shown.add_column(column, justify="right" if 1 < at < 7 else "left", no_wrap=at != 1, min_width=least)
    last = None
    for row in listed:
        shown.add_row(
            row["language"] if row["language"] != last else "",
            row["tau"],
            f"{row['size']:,}",
            f"{row['score']:.4f}",
            f"{row['base']:.4f}",
            behind(row),
            f"{row['leads']:.0%}",
            row["shown"],
        )
        last = row["language"]
    terminal.show(shown)
