"""Values that the shell completes: names of files in this repository and of what params.yaml lists.

A completion never fails and never speaks: where nothing can be read, there is nothing to offer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from graded.errors import GradedError


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def profiles(incomplete: str) -> list[str]:
    """Return names of profiles/*.yaml."""
    return _starting((path.stem for path in Path("profiles").glob("*.yaml")), incomplete)


def sweeps(incomplete: str) -> list[str]:
    """Return names of sweeps/*.yaml."""
    return _starting((path.stem for path in Path("sweeps").glob("*.yaml")), incomplete)


def annotators(incomplete: str) -> list[str]:
    """Return the annotators that params.yaml defines."""
    from graded import params

    try:
        named = params.at(params.load(), "grade.annotators")
    except (GradedError, OSError, ValueError):
        return []
    return _starting(map(str, named), incomplete) if isinstance(named, dict) else []


def sets(incomplete: str) -> list[str]:
    """Return the benchmarks that the last run measured."""
    try:
        record = json.loads(Path("metrics/evaluate.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return _starting(record, incomplete) if isinstance(record, dict) else []
