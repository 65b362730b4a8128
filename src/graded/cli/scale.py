"""`graded scale`: GPU-hours, gigabytes and dollars of the paper's whole grid, and what is slowest on how many GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graded.cli import here
from graded.console import say
from graded.errors import ParamError, many
from graded.experiments import scale as counted
from graded.experiments.facts import Facts

#: What differs from the way that was chosen, in the second table.
VARIANTS = (
    ("every direction, not the target's alone", {"target": False}),
    ("a corpus encoded again for each direction", {"reuse": False}),
    ("both of these", {"target": False, "reuse": False}),
    ("over the candidate pool", {"pool": True}),
    ("replies one by one, not by batch", {"batch": False}),
)


def scale(
    every: Annotated[bool, typer.Option("--every", help="Models search every direction, not their own alone.")] = False,
    again: Annotated[bool, typer.Option("--again", help="A corpus is encoded again for each direction.")] = False,
    pool: Annotated[bool, typer.Option("--pool", help="Over the candidate pool.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Replies one by one, not by batch.")] = False,
    gpus: Annotated[str, typer.Option(help="Numbers of GPUs to compare.")] = "1,8,64",
    rates: Annotated[Path | None, typer.Option(help="YAML with your own numbers, laid over scale.yaml.")] = None,
) -> None:
    """Count what the sweeps of scale.yaml take in their full form; nothing is run or bought.

    Example: graded scale --gpus 1,8,64

    Example: graded scale --pool --online
    """
    here.repository("scale")
    facts = Facts(rates)
    way = counted.Way(target=not every, reuse=not again, pool=pool, batch=not online)
    parts = counted.parts(facts, way)
    hour = facts.one("gpu.dollars_hour")
    say(f"{'part':<44}{'':>23}{'GPU-hours':>11}{'LLM $':>9}{'GB':>8}")
    for part in parts:
        amount = f"{part.amount:,.0f} {part.unit}"
        say(f"{part.name:<32}{amount:>35}{_one(part.gpu_hours):>11}{_one(part.dollars):>9}{_one(part.gigabytes):>8}")
    say(_total("all of it", parts, hour))
    say(
        f"{many(len(counted.runs(facts)), 'experiment')};"
        f" one model's kept vectors are {counted.kept_gigabytes(facts):,.0f} GB"
    )
    say("")
    say(f"{'the same, but':<44}{'GPU-hours':>11}{'GPU $':>10}{'LLM $':>10}{'all $':>10}")
    for name, change in (("as above", {}), *VARIANTS):
        if change and all(getattr(way, key) == value for key, value in change.items()):
            continue
        say(_variant(name, counted.parts(facts, way._replace(**change)), hour))
    say("")
    _bottlenecks(facts, parts, _numbers(gpus))


def _bottlenecks(facts: Facts, parts: list[counted.Part], numbers: list[int]) -> None:
    columns = {number: counted.walls(facts, parts, number) for number in numbers}
    host = facts.one("gpu.host")
    heads = [
        f"{number} GPU{'s' * (number > 1)}, {-(-number // int(host))} host{'s' * (number > host)}" for number in numbers
    ]
    say(f"{'hours, one part after another':<32}" + "".join(f"{head:>20}" for head in heads))
    for part in parts:
        cells = [_hours(columns[number], part.name) for number in numbers]
        say(f"{part.name:<32}" + "".join(f"{cell:>20}" for cell in cells))
    say(f"{'all of it':<32}" + "".join(f"{sum(columns[number].values()):>19,.1f} " for number in numbers))
    say("* the first bottleneck; numbers and their sources: scale.yaml")


def _hours(column: dict[str, float], name: str) -> str:
    return f"{column[name]:,.1f}{'*' if column[name] == max(column.values()) else ' '}"


def _total(name: str, parts: list[counted.Part], hour: float) -> str:
    gpu, llm, size = (sum(getattr(part, key) for part in parts) for key in ("gpu_hours", "dollars", "gigabytes"))
    dollars = f"${gpu * hour + llm:,.0f} with a GPU-hour at ${hour:.2f}"
    return f"{name:<32}{dollars:>35}{_one(gpu):>11}{_one(llm):>9}{_one(size):>8}"


def _variant(name: str, parts: list[counted.Part], hour: float) -> str:
    gpu, llm = sum(part.gpu_hours for part in parts), sum(part.dollars for part in parts)
    return f"{name:<44}{gpu:>11,.0f}{gpu * hour:>10,.0f}{llm:>10,.0f}{gpu * hour + llm:>10,.0f}"


def _one(value: float) -> str:
    return "" if value == 0 else f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not 0 < len(found) <= 3 or min(found) < 1:
        raise ParamError(f"--gpus: received {text!r}; expected one to three whole numbers from 1 up, such as 1,8,64")
    return found
