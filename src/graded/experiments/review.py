"""What a change does to the metrics, for a reviewer: drift, params, and differences that are more than noise.

Git alone answers most of it: metrics/evaluate.json and dvc.lock are in every commit. Whether a difference is more than
noise needs the values of single queries (data/evaluate), from this clone's cache or a DVC remote; where they cannot be
had, the review says so and shows the difference untested.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from graded import params
from graded.analysis import variants
from graded.analysis.compare import Difference, difference, holm_within
from graded.errors import GradedError, MissingError, ServiceError
from graded.experiments import git, results
from graded.experiments.drift import drift, dvc
from graded.experiments.roles import role
from graded.records import Direction

METRICS = "metrics/evaluate.json"
#: Labels of means over a set's directions: of one language, and of two.
MEANS = ("mean", "mean-cross")


class Row(NamedTuple):
    """One language or direction of one set: the values before and after, and their paired test where it could be made.

    ``before`` or ``after`` is None where that side did not measure it. ``p`` is corrected over the set's languages, or
    over its cross-lingual directions. ``named`` is what the metric is called there, where that is not its plain name:
    ``nDCG@10-hnsw``, or ``nDCG@10 → nDCG@10-hnsw`` where the two sides were searched in different ways.
    """

    set: str
    label: str
    before: float | None
    after: float | None
    test: Difference | None = None
    p: float | None = None
    named: str = ""

    @property
    def verdict(self) -> str:
        """Return in a word or two what the row says."""
        if self.before is None or self.after is None:
            return "only here" if self.before is None else "gone"
        if self.before == self.after:
            return "same"
        if self.p is None:
            return "not tested"
        if self.p >= 0.05:
            return "within noise"
        return "higher" if self.after > self.before else "lower"


class Review(NamedTuple):
    """Everything a comment says.

    ``behind`` are stages that were not run again and are no drift; ``dev`` the benchmarks that decisions may look at.
    """

    base: str
    head: str
    metric: str
    drift: list[str]
    params: dict[str, tuple[Any, Any]]
    rows: list[Row]
    untested: str
    figures: list[str]
    behind: Sequence[str] = ()
    dev: Sequence[str] = ()


def review(base: str, metric: str = "nDCG@10") -> Review:
    """Compare the files here with the commit at which this branch left ``base``: what came to it since is not ours.

    Raises:
        MissingError: no such commit, or none that both have.
        ServiceError: DVC refuses: a broken dvc.yaml.
    """
    head = git.git("rev-parse", "HEAD")
    commit = left(base, head)
    rows = changed(_record(git.read(commit, METRICS)) if METRICS in git.files(commit) else {}, _here(), metric)
    rows, untested = tested(rows, commit, metric)
    changes = git.git("diff", "--name-only", "--diff-filter=AM", commit, "--", "*.svg", "*.png").splitlines()
    drifted, behind = drift()
    values = params.load()
    dev = [name for name in dict.fromkeys(row.set for row in rows) if role(name, values) == "dev"]
    return Review(commit, head, metric, drifted, params_changed(commit), rows, untested, changes, behind, dev)


def left(base: str, head: str) -> str:
    """Return the commit at which ``head`` left ``base``, of several the best that git knows.

    Raises:
        MissingError: ``base`` is no commit, or the two share none here.
    """
    try:
        tip = git.git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    except ServiceError:
        raise MissingError(
            f"review: received {base!r}, which is no branch, tag or commit; 'git branch -a' lists them"
        ) from None
    try:
        return git.git("merge-base", tip, head)
    except ServiceError:
        raise MissingError(
            f"review: {base} and this branch share no commit here; where the clone is shallow: git fetch --unshallow"
        ) from None


def params_changed(base: str) -> dict[str, tuple[Any, Any]]:
    """Return dotted name -> (value at ``base``, value here), None for absent, of all params that stages track."""
    found = json.loads(dvc("params", "diff", "--json", base) or "{}")
    return {
        name: (change.get("old"), change.get("new")) for file in found.values() for name, change in sorted(file.items())
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any], metric: str) -> list[Row]:
    """Return a row for every set and direction of the two records of metrics/evaluate.json, in the order they have."""
    rows = []
    legal = variants.forms(metric)
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name, {}), after.get(name, {})
        for label in dict.fromkeys([*new, *old]):
            theirs, ours, shared = old.get(label, {}), new.get(label, {}), ""
            if label in MEANS and theirs and ours and _members(old, label) != _members(new, label):
                both = _members(old, label) & _members(new, label)
                theirs, ours = _mean(old, both, legal), _mean(new, both, legal)
                shared = f"{metric} of the {len(both)} that both have"
            for searched in dict.fromkeys(map(variants.exact, legal)):
                same = [one for one in legal if variants.exact(one) == searched]
                was, now = (next((one for one in same if one in side), "") for side in (theirs, ours))
                if was or now:
                    named = " → ".join(dict.fromkeys(filter(None, (was, now))))
                    named = shared or ("" if named == metric else named)
                    rows.append(Row(name, label, theirs.get(was), ours.get(now), named=named))
    return rows


def _members(record: Mapping[str, Any], label: str) -> set[str]:
    """Return the directions that a mean of one set's record is over."""
    return {one for one in record if one not in MEANS and ("-" in one) == (label == "mean-cross")}


def _mean(record: Mapping[str, Any], directions: set[str], metrics: Sequence[str]) -> dict[str, float]:
    """Return the means over ``directions`` of those metrics that all of them have; empty where there is none."""
    have = [name for name in metrics if directions and all(name in record[one] for one in directions)]
    return {name: sum(record[one][name] for one in directions) / len(directions) for name in have}


def tested(rows: Sequence[Row], base: str, metric: str) -> tuple[list[Row], str]:
    """Return the rows with their tests, and why there are none (or '')."""
    differing = [row for row in rows if None not in (row.before, row.after) and row.before != row.after]
    if not differing:
        return list(rows), ""
    try:
        ours = results.scores(None if Path(results.PER_QUERY).is_file() else git.git("rev-parse", "HEAD"))
        theirs = results.scores(base)
    except GradedError as error:
        return list(rows), str(error)
    found: dict[tuple[str, ...], Difference] = {}
    others = _tuned(theirs, metric)
    for key, mine in _tuned(ours, metric).items():
        other = others.get(key)
        if other and other.queries == mine.queries:
            found[key] = difference(mine.values, other.values, seed=13)
    ps = {key: test.p for key, test in found.items()}
    adjusted = holm_within(ps, lambda key: (key[0], key[2], "-" in key[1]))
    return [
        row._replace(test=found[key], p=adjusted[key])
        if (key := (row.set, row.label, _searched(row, metric))) in found and row in differing
        else row
        for row in rows
    ], ""


def _tuned(columns: Mapping[results.Key, results.Column], metric: str) -> dict[tuple[str, ...], results.Column]:
    """Return (set, direction, metric without an index's name) -> values of the fine-tuned encoder."""
    legal = variants.forms(metric)
    return {
        (name, Direction(query_lang, doc_lang).label, variants.exact(measured)): column
        for (name, query_lang, doc_lang, system, measured), column in columns.items()
        if system == "tuned" and measured in legal
    }


def _searched(row: Row, metric: str) -> str:
    return variants.exact(row.named.rpartition(" → ")[2] or metric)


def _here() -> dict[str, Any]:
    path = Path(METRICS)
    return _record(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _record(text: str) -> dict[str, Any]:
    record = json.loads(text)
    return record if isinstance(record, dict) else {}
