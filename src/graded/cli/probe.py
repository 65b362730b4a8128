"""`graded probe`: an annotator is shown hostile passages, and the inflation of its grades is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from graded import params
from graded.cli.complete import annotators
from graded.console import say
from graded.errors import ParamError, many, one_of
from graded.formats.atomic import write_json
from graded.llm import probe as hostile
from graded.llm.annotate import OUTCOMES, annotate
from graded.llm.job import Ask, How, Job
from graded.llm.ledger import Ledger, last_run
from graded.llm.probe import Probe, Row
from graded.llm.prompts import grade_messages
from graded.llm.replies import GradeReading
from graded.llm.request import characters
from graded.stages import grade as stage


def probe(
    annotator: Annotated[
        str | None,
        typer.Argument(help="One of grade.annotators; default: the first listed.", autocompletion=annotators),
    ] = None,
    probes: Annotated[Path, typer.Option(help="The hostile passages.")] = hostile.PROBES,
    json: Annotated[Path | None, typer.Option(help="Also write the report as JSON.")] = None,
) -> None:
    """Grade hostile passages and report how much each kind of attack inflates the grade.

    The replies are bought under GRADED_BUDGET_USD and kept in the ledger like any other.

    Example: graded probe gpt-4o
    """
    chosen = params.section("grade", stage.Params)
    name = annotator or params.shared("annotators")[0]
    if name not in chosen.annotators:
        raise ParamError(f"annotator: {one_of(name, chosen.annotators)}")
    asked = hostile.probes(probes)

    def asks() -> Iterator[Ask]:
        for one in asked:
            yield Ask(one.language, grade_messages(one.query, one.passage))

    job = Job("probe", f"grade.annotators.{name}", chosen.annotators[name], asks, characters(grade_messages("", "")))
    (found,) = annotate(Ledger(), [job], stage.DTYPE, stage.read, How(reask=chosen.reask))
    readings = [_reading(*record) for record in found.tolist()]
    rows = hostile.report(asked, readings)
    say(table(name, rows, outcomes(asked, readings)))
    spent = last_run("probe")
    if spent is not None:
        say(f"{many(spent.bought, 'reply')} bought for ${spent.dollars:,.2f}, {spent.reused:,} from the ledger")
    if json is not None:
        write_json(json, {"annotator": name, "rows": [row._asdict() for row in rows]})


def outcomes(asked: list[Probe], readings: list[GradeReading]) -> Counter[str]:
    """Return how many probes had no grade, by outcome."""
    return Counter(str(one.outcome) for _, one in zip(asked, readings, strict=True) if one.grade is None)


def table(name: str, rows: list[Row], without: Counter[str]) -> str:
    """Return the report as text of at most 100 columns."""
    names = ("probes", "clean", "hostile", "inflation", "raised", "expected")
    head = f"{'attack or language':<20}" + _cells(names)
    lines = [f"{name}: grades of hostile passages against the same passages as they are", head]
    for row in rows:
        raised = "-" if row.raised is None else f"{row.raised:.0%}"
        cells = (row.compared, _mean(row.clean), _mean(row.hostile), _gap(row.inflation), raised, _gap(row.expected))
        lines.append(f"{row.name:<20}" + _cells(cells))
    if without:
        lines.append("without a grade: " + ", ".join(f"{count} {outcome}" for outcome, count in without.items()))
    return "\n".join(lines)


def _reading(outcome: int, grade: int, expected: float, outside: float) -> GradeReading:
    known = expected == expected  # NaN: no logprobs
    return GradeReading(
        OUTCOMES[outcome], None if grade < 0 else grade, expected if known else None, outside if known else None
    )


def _cells(values: Iterable[object]) -> str:
    return "".join(f"{value:>11}" for value in values)


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _gap(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
