"""Experiments gathered into the tidy table: settings, means, intervals and per-query scores.

Intervals of the means and of the differences to the base are percentile bootstrap intervals over queries, 95%; all
experiments that evaluated the same queries share the draws. p is the paired randomisation test that the evaluate stage
made, where it compared the metric.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graded import params
from graded.analysis.tau import canonical
from graded.errors import GradedError, MissingError
from graded.experiments import durations, git, manner, outs
from graded.experiments.roles import role
from graded.formats import table
from graded.records import Direction

PER_QUERY, PAIR, METRICS = "data/evaluate/per_query.parquet", "data/pair.parquet", "metrics/evaluate.json"
TRAINED = "data/train/metrics.json"
RESAMPLES = 2000
#: Sections and keys of params.yaml that a recipe leaves out; of `train`, APART.
OUTSIDE = frozenset(
    {"tau", "seed", "annotator", "annotators", "pair", "agree", "retrieve", "bm25", "evaluate", "report", "benchmark"}
)
APART = frozenset({"objective", "seed", "threads", "checkpoint_minutes", "chunk", "gradient_checkpointing"})
#: What names one column of scores: set, query language, passage language, system, metric.
Key = tuple[str, str, str, str, str]


class Source(NamedTuple):
    """One experiment to gather; ``commit`` is None for the files of the working folder."""

    name: str
    commit: str | None
    baseline: str | None
    sweep: str | None


class Column(NamedTuple):
    """Scores of one experiment under one key: ids of the queries, sorted, and float [Q]."""

    queries: tuple[str, ...]
    values: np.ndarray


def sources(names: Iterable[str] | None = None) -> list[Source]:
    """Return the experiments named (all, where None), the newest of each name, oldest first.

    A name comes back on another commit where a sweep is run again after a change: two results of one name are two
    versions of one experiment, and no seeds of it. An older one can be asked for by its commit.
    A name that is no experiment may be a branch, a tag or a commit, or `workspace`.

    Raises:
        MissingError: nothing has that name.
    """
    have = git.experiments()
    if names is None:
        return [_source(one) for one in {one.name: one for one in have}.values()]
    found = []
    for name in names:
        same = [one for one in have if one.name == name]
        if same:
            found.append(_source(same[-1]))
        elif name == "workspace":
            found.append(Source(name, None, None, None))
        else:
            found.append(Source(name, _commit(name, have), None, None))
    return found


def _source(one: git.Experiment) -> Source:
    subject = git.git("log", "-1", "--format=%s", one.commit)
    sweep = subject.removeprefix("graded sweep ").split(":")[0] if subject.startswith("graded sweep ") else None
    return Source(one.name, one.commit, one.baseline, sweep)


def _commit(name: str, have: list[git.Experiment]) -> str:
    try:
        return git.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except GradedError:
        near = ", ".join(one.name for one in have[-8:]) or "none yet"
        raise MissingError(
            f"results: received {name!r}, which is no experiment, branch, tag or commit; experiments: {near}"
        ) from None


@cache
def scores(commit: str | None) -> Mapping[Key, Column]:
    """Return the per-query scores of an experiment."""
    path = Path(PER_QUERY) if commit is None else outs.find(commit, PER_QUERY)
    found: dict[Key, dict[str, float]] = defaultdict(dict)
    names = ("set", "query_lang", "doc_lang", "system", "metric", "query_id", "value")
    for name, query_lang, doc_lang, system, metric, query_id, value in table.read_rows(path, *names):
        found[name, query_lang, doc_lang, system, metric][query_id] = value
    columns: dict[Key, Column] = {}
    for key, values in found.items():
        queries = tuple(sorted(values))
        columns[key] = Column(queries, np.array([values[query_id] for query_id in queries]))
    return columns


def settings(source: Source) -> dict[str, Any]:
    """Return the settings of an experiment, as columns of the tidy table."""
    values = params.load() if source.commit is None else git.read_yaml(source.commit, "params.yaml")
    pair, train = values.get("pair") or {}, values.get("train") or {}
    extra, negatives = pair.get("extra") or {}, train.get("negatives") or {}
    return {
        "experiment": source.name,
        "commit": source.commit,
        "baseline": source.baseline,
        "sweep": source.sweep,
        "tau": canonical(values["tau"]),
        "tau_extra": _tau(values["tau"], extra["language"]) if extra.get("language") else None,
        "target": pair.get("target", "all"),
        "size": pair.get("size"),
        "count": pair.get("count", "pairs"),
        "extra": extra.get("language"),
        "extra_size": extra.get("size") if extra.get("language") else None,
        "encoder": params.at(values, "encoder.name") or "unknown",
        "annotator": values["annotator"],
        "objective": train.get("objective", "infonce"),
        "share_mined": negatives.get("share_mined", 0.0) if negatives.get("per_query") else None,
        "recipe": recipe(values),
        "epochs": train.get("epochs") if train.get("budget", "epochs") == "epochs" else None,
        "batch_size": train.get("batch_size"),
        "learning_rate": train.get("learning_rate"),
        "warmup_ratio": train.get("warmup_ratio"),
        "lora_rank": (train.get("lora") or {}).get("rank"),
        "seed": values["seed"] if train.get("seed") is None else train["seed"],
        "_values": values,
    }


def recipe(values: Mapping[str, Any]) -> str:
    """Return what else decides a result, as text: ``3 epochs #1a2b3c4``; experiments of two recipes are two things.

    The hash is over params.yaml without what a sweep's columns hold (tau to share_mined), the seeds, what only decides
    which benchmarks are searched, and what says how the work is done without changing its result.
    """
    train = {name: value for name, value in (values.get("train") or {}).items() if name not in APART}
    budget = train.pop("budget", "epochs")
    long = {name: train.pop(name, None) for name in ("epochs", "steps")}[budget]
    train["negatives"] = {name: one for name, one in (train.get("negatives") or {}).items() if name != "share_mined"}
    rest = {name: manner.without(value) for name, value in values.items() if name not in OUTSIDE} | {"train": train}
    digest = sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()
    return f"{long:,} {budget} #{digest[:7]}" if isinstance(long, int) else f"#{digest[:7]}"


def _tau(tau: Any, lang: str) -> float:
    return float(tau.get(lang, tau.get("default", 0))) if isinstance(tau, Mapping) else float(tau)


def gather(chosen: list[Source]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the tidy table, and those of the per-query scores.

    Raises:
        MissingError: the scores of an experiment are neither in the cache nor on a remote.
    """
    columns = {source: scores(source.commit) for source in chosen}
    intervals = _intervals(columns)
    rows, singles = [], []
    for source in chosen:
        about, counts = settings(source), _counts(source)
        values, tested = about.pop("_values"), _tested(source)
        for key, column in columns[source].items():
            name, query_lang, doc_lang, system, metric = key
            lang = query_lang if about["target"] == "all" else about["target"]
            place = {"set": name, "query_lang": query_lang, "doc_lang": doc_lang, "system": system, "metric": metric}
            label = Direction(query_lang, doc_lang).label
            p = (((tested.get(name) or {}).get(label) or {}).get("difference") or {}).get(metric) or {}
            rows.append(
                about
                | place
                | (counts if system == "tuned" else {})
                | {"role": role(name, values), "tau_target": _tau(values["tau"], lang), "queries": len(column.queries)}
                | intervals[source, key]
                | {"p": p.get("p") if system == "tuned" else None}
            )
            singles += [
                {"experiment": source.name, **place, "query_id": query_id, "value": value}
                for query_id, value in zip(column.queries, column.values.tolist(), strict=True)
            ]
    return rows, singles


def _intervals(columns: Mapping[Source, Mapping[Key, Column]]) -> dict[tuple[Source, Key], dict[str, Any]]:
    """Return value, interval, difference and its interval of every column; equal query sets share the draws."""
    groups: dict[tuple[str, ...], list[tuple[Source, Key, bool]]] = defaultdict(list)
    for source, own in columns.items():
        for key, column in own.items():
            groups[column.queries].append((source, key, False))
            base = (*key[:3], "base", key[4])
            if key[3] != "base" and base in own and own[base].queries == column.queries:
                groups[column.queries].append((source, key, True))
    found: dict[tuple[Source, Key], dict[str, Any]] = defaultdict(dict)
    for queries, members in groups.items():
        generator = np.random.default_rng(0)
        count = len(queries)
        weights = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float32) / count
        for start in range(0, len(members), 512):
            part = members[start : start + 512]
            values = np.stack([_values(columns[source], key, paired) for source, key, paired in part], axis=1)
            low, high = np.quantile(weights @ values.astype(np.float32), [0.025, 0.975], axis=0)
            for at, (source, key, paired) in enumerate(part):
                names = ("difference", "difference_low", "difference_high") if paired else ("value", "low", "high")
                triple = (float(values[:, at].mean()), float(low[at]), float(high[at]))
                found[source, key] |= dict(zip(names, triple, strict=True))
    return found


def _values(own: Mapping[Key, Column], key: Key, paired: bool) -> np.ndarray:
    return own[key].values - own[(*key[:3], "base", key[4])].values if paired else own[key].values


def _counts(source: Source) -> dict[str, Any]:
    """Return how much was trained on; what is not known here is left out."""
    found: dict[str, Any] = {}
    try:
        path = Path(PAIR) if source.commit is None else outs.find(source.commit, PAIR)
        found["train_pairs"] = table.count_rows(path)
        found["train_positives"] = sum(positive for (positive,) in table.read_rows(path, "positive"))
    except MissingError:
        pass
    try:
        path = Path(TRAINED) if source.commit is None else outs.find(source.commit, TRAINED)
        found["steps"] = int(json.loads(path.read_text(encoding="utf-8"))["steps"])
    except (MissingError, FileNotFoundError, KeyError):
        pass
    seconds = durations.of(source.name)
    return found | ({"seconds": seconds} if seconds is not None else {})


def _tested(source: Source) -> Any:
    try:
        if source.commit is None:
            return json.loads(Path(METRICS).read_text(encoding="utf-8"))
        return git.read_yaml(source.commit, METRICS)
    except (FileNotFoundError, MissingError):
        return {}
