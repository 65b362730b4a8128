"""`graded calibrate`: which tau is best for each language, at the least training, decided on development queries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from graded import params
from graded.cli import here
from graded.console import clock, say
from graded.errors import ParamError, many
from graded.experiments import calibration

OUT = Path("results")


@dataclass(frozen=True)
class Settings:
    """What all races of one call share."""

    values: dict[str, Any]
    dev: list[str]
    metric: str
    confidence: float
    jobs: int


def calibrate(
    target: Annotated[str, typer.Option(help="`all` (one model of all), or languages with a model each: fi,ar.")] = "",
    extra: Annotated[
        str | None,
        typer.Option(help="Second language of a mixture, its tau calibrated too; with --target alone there is none."),
    ] = None,
    tau: Annotated[str, typer.Option(help="Values to try.")] = "1,2,3",
    size: Annotated[
        int | None, typer.Option(help="Graded pairs a language of the final model; default: pair.size.")
    ] = None,
    sizes: Annotated[str | None, typer.Option(help="Sizes to look at; default: a sixteenth and a half of it.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Training seeds of the first look; 1 cannot see training noise.")
    ] = 2,
    cost: Annotated[float, typer.Option(min=0.01, help="Most of the full grid's training that may be spent.")] = 0.5,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of all intervals of a race together.")] = 0.95,
    metric: Annotated[str | None, typer.Option(help="Default: the first of evaluate.metrics.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Experiments at a time.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of calibrate.json, .svg and .png.")] = OUT,
) -> None:
    """Find tau per language by successive halving over nested data sizes; the test sets are never looked at.

    Example: graded calibrate --target fi,ar --tau 1,2,3 --jobs 2

    Example: graded calibrate --target fi --extra en
    """
    values = params.load()
    here.locked(Path())
    settings = Settings(
        values=values,
        dev=calibration.dev_sets(values),
        metric=metric or str((params.at(values, "evaluate.metrics") or ["nDCG@10"])[0]),
        confidence=confidence,
        jobs=jobs,
    )
    languages = params.languages()
    targets = (target or str(params.at(values, "pair.target") or "all")).split(",")
    if extra is None and not target:
        extra = params.at(values, "pair.extra.language")
    taus = numbers("--tau", tau, float)
    looks = [int(one) for one in numbers("--sizes", sizes, int)] if sizes else None
    asked = [calibration.question(one, extra, languages, taus) for one in targets]
    calibration.refuse_overlap(settings.dev, languages)
    for one in asked:
        if absent := calibration.left_out(one, values):
            takes = f"; --extra {absent} takes it in" if one.target not in ("all", absent) else ""
            say(f"calibrate {one.target}: pair.extra of params.yaml ({absent}) is left out{takes}")

    from graded.cli.calibrated import write

    found = [one_model(one, settings, size, looks, cost, seeds) for one in asked]
    write(found, settings.metric, settings.confidence, out)


def one_model(
    asked: calibration.Question, settings: Settings, size: int | None, sizes: list[int] | None, cost: float, seeds: int
) -> Any:
    """Run the races of one model and return what came out."""
    from graded.analysis import calibrate as rule
    from graded.analysis.race import Setting, race
    from graded.cli.calibrated import Found, tell
    from graded.cli.sweep import check
    from graded.experiments import durations, results, sweep

    trained = asked.languages if asked.target == "all" else [asked.target]
    full = size or calibration.full_size(settings.values, trained)
    train = settings.values.get("train") or {}
    whole = (full, params.at(settings.values, "pair.extra.size"))
    ladder = rule.ladder(full, max(map(len, asked.arms.values())), sizes, cost, seeds)
    own = params.seed()
    done: dict[str, None] = {}

    def run(pairs: int, repeats: int, settled: list[Setting]) -> list[dict[str, Any]]:
        import numpy as np

        steps = None
        if train.get("budget") == "steps":
            steps = max(1, round(int(train["steps"]) * pairs / full))
        points = [
            [calibration.point(asked, one, pairs, whole, own + nth if nth else None, steps) for nth in range(repeats)]
            for one in settled
        ]
        names = sweep.run("calibrate", [point for row in points for point in row], jobs=settings.jobs, check=check)
        done.update(dict.fromkeys(names.values()))
        commits = {one.name: one.commit for one in results.sources(list(names.values()))}
        return [
            {
                lang: np.stack(
                    [
                        calibration.dev_scores(commits[names[point.name]], settings.dev, lang, settings.metric)
                        for point in row
                    ]
                )
                for lang in asked.arms
            }
            for row in points
        ]

    title = asked.target + (f" with {asked.extra}" if asked.extra else "")
    say(
        f"calibrate {title}: {settings.metric} on {', '.join(settings.dev)}; looks at "
        f"{', up to '.join(f'{one:,}' for one in ladder.sizes)} of {full:,} pairs a language"
    )
    outcome = race(asked.arms, ladder, run, seed=own, confidence=settings.confidence, tell=tell)
    base = base_means(list(done), asked, settings)
    beside = (whole[1] or full) if asked.extra else None
    seconds = [spent for name in done if (spent := durations.of(name)) is not None]
    share = outcome.spent / (max(map(len, asked.arms.values())) * full)
    say(
        f"calibrate {title}: {many(len(done), 'run')}, {share:.0%} of the grid's training,"
        f" {clock(sum(seconds))} of experiments"
    )
    return Found(asked, full, beside, outcome, share, sum(seconds) or None, base)


def base_means(names: list[str], asked: calibration.Question, settings: Settings) -> dict[str, float]:
    """Return the base encoder's mean on each subject's development queries."""
    from graded.experiments import results

    commit = results.sources(names[:1])[0].commit
    return {
        lang: float(calibration.dev_scores(commit, settings.dev, lang, settings.metric, "base").mean())
        for lang in asked.arms
    }


def numbers(option: str, text: str, kind: type[float]) -> list[float]:
    """Return the numbers of a list such as ``1,2,3``, rising order not needed, none twice."""
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        raise ParamError(f"{option}: received {text!r}; expected numbers such as 1,2,3") from None
    if len(set(found)) != len(found) or any(not value > 0 for value in found):
        raise ParamError(f"{option}: received {text!r}; expected numbers above 0, none twice")
    return found
