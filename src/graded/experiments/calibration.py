"""The races of `graded calibrate` as DVC experiments: what each run sets, and the scores it is judged by.

Decisions look at benchmarks of role `dev` alone; the per-query scores of a test set are never read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graded import params
from graded.analysis import variants
from graded.analysis.race import Setting
from graded.errors import DataError, MissingError, ParamError, one_of
from graded.experiments import results
from graded.experiments.grid import Point, label
from graded.experiments.roles import POOL, role
from graded.formats import table

BENCHMARK, BALANCE = Path("data/benchmark"), Path("data/balance")


class Question(NamedTuple):
    """What is calibrated.

    ``target`` is `all` or a language, ``extra`` the second language of a mixture; ``arms`` maps each subject (a
    language that is scored) to its arms: the text of a tau, or of one tau for each language (`en=2,fi=1`).
    """

    target: str
    extra: str | None
    languages: tuple[str, ...]
    arms: dict[str, list[str]]


def question(target: str, extra: str | None, languages: Sequence[str], taus: Sequence[float]) -> Question:
    """Return the races of one model.

    A model of all languages gives each language a race of its own, side by side; a model of one language has one race;
    a mixture of two is one race whose arms are all pairs of tau, judged on the target's queries.

    Raises:
        ParamError: a language that is not in the run, or ``extra`` without a single target.
    """
    if target != "all" and target not in languages:
        raise ParamError(f"--target: {one_of(target, ['all', *languages])}")
    names = [f"{tau:g}" for tau in taus]
    if extra is None:
        subjects = languages if target == "all" else [target]
        return Question(target, None, tuple(languages), dict.fromkeys(subjects, names))
    if target == "all" or extra not in languages or extra == target:
        raise ParamError(
            f"--extra: {one_of(extra, [lang for lang in languages if lang != target])}, beside one --target"
        )
    pairs = [f"{target}={own},{extra}={other}" for own, other in product(names, names)]
    return Question(target, extra, tuple(languages), {target: pairs})


def left_out(asked: Question, values: Mapping[str, Any]) -> str | None:
    """Return the second language that params.yaml's content has and the question has not: nothing trains on it."""
    return params.at(values, "pair.extra.language") if asked.extra is None else None


def tau_of(asked: Question, setting: Setting) -> Any:
    """Return params.yaml's tau of one run: a number where all languages agree, else a mapping."""
    if asked.extra is not None:
        parts = dict(part.split("=") for part in setting[asked.target].split(","))
        return {"default": number(parts[asked.target]), asked.extra: number(parts[asked.extra])}
    values = set(setting.values())
    if len(values) == 1:
        return number(values.pop())
    return {lang: number(setting[lang]) for lang in asked.languages}


def number(text: str) -> float | int:
    """Return a tau as params.yaml would have it: 2, 1.5."""
    value = float(text)
    return int(value) if value.is_integer() else value


def point(
    asked: Question, setting: Setting, size: int, full: tuple[int, int | None], seed: int | None, steps: int | None
) -> Point:
    """Return the experiment of one training run.

    Args:
        asked: the question.
        setting: arm of each subject.
        size: graded pairs of the target.
        full: size of the target and of the second language in the model that will be trained in the end.
        seed: of training; None is the run's own.
        steps: optimiser steps, where they and not the data bound training; None leaves params.yaml's budget.
    """
    values: dict[str, Any] = {"pair.target": asked.target, "pair.extra.language": asked.extra}
    if asked.extra is not None:
        whole = full[1] or full[0]
        values["pair.extra.size"] = max(1, round(size / full[0] * whole))
    values |= {"tau": tau_of(asked, setting), "pair.size": size}
    if steps is not None:
        values["train.steps"] = steps
    if seed is not None:
        values["train.seed"] = seed
    named = {key: value for key, value in values.items() if key not in ("pair.extra.size", "train.steps")}
    return Point("-".join(["calibrate", *label(named)]), values)


def dev_sets(values: Mapping[str, Any]) -> list[str]:
    """Return the benchmarks of role `dev` in params.yaml's content.

    Raises:
        ParamError: there is none.
    """
    sets = params.at(values, "benchmark.sets") or {}
    found = [name for name in sets if role(name, values) == "dev"]
    if not found:
        raise ParamError(
            f"calibrate decides on development queries and benchmark.sets has none (sets: {', '.join(sets)}); give one"
            " 'role: dev' and a split that no test set has; 'graded import' makes such a split of your own files"
        )
    return found


def refuse_overlap(dev: Sequence[str], languages: Sequence[str]) -> None:
    """Return if no development query stands in a test set; sets that are not here are passed over.

    Raises:
        DataError: names the first set and how many of its queries do.
    """
    for lang in languages:
        paths = {path.parts[2]: path for path in sorted(BENCHMARK.glob(f"*/{lang}-{lang}/queries.parquet"))}
        ours = [name for name in paths if {name, name.removesuffix(POOL)} & {*dev}]
        tests = {text for name in paths if name not in ours for (text,) in table.read_rows(paths[name], "text")}
        for name in ours:
            both = sum(text in tests for (text,) in table.read_rows(paths[name], "text"))
            if both:
                raise DataError(
                    f"{both} of the {lang} queries of {name} (role: dev) stand in a test set too;"
                    " a decision on them would look at the test: split the queries"
                )


def full_size(values: Mapping[str, Any], languages: Sequence[str]) -> int:
    """Return the graded pairs a language of the model to train: pair.size, else what the scarcest language has."""
    size = params.at(values, "pair.size")
    have = []
    for lang in languages:
        try:
            have.append(table.count_rows(BALANCE / f"{lang}.parquet"))
        except MissingError:
            if size is None:
                raise MissingError(
                    f"no {BALANCE}/{lang}.parquet here, so the full size is unknown;"
                    " run 'dvc repro balance', or give --size"
                ) from None
    return min([*have, *([size] if size is not None else [])])


def dev_scores(commit: str | None, dev: Sequence[str], lang: str, metric: str, system: str = "tuned") -> np.ndarray:
    """Return float [Q]: the values of a language's development queries, all dev sets one after another.

    A set that was searched over a pool, or by an approximate index, has them under the metric's name there.

    Raises:
        MissingError: no dev set has this language and metric.
    """
    columns = results.scores(commit)
    sets = [(name, name + POOL) for name in dev]  # a pool beside its whole has the same queries
    keys = [[(one, lang, lang, system, form) for one in both for form in variants.forms(metric)] for both in sets]
    held = (next((key for key in same if key in columns), None) for same in keys)
    found = [columns[key].values for key in held if key]
    if not found:
        metrics = sorted({key[4] for key in columns})
        raise MissingError(
            f"calibrate: no {metric} of {lang} in {', '.join(dev)}; metrics there: {', '.join(metrics) or 'none'};"
            f" give {lang} queries in a set of role dev"
        )
    return np.concatenate(found)
