"""Which benchmarks decisions may look at: those of role `dev` in params.yaml, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graded import params

#: What stands behind a benchmark's name in that of its pool.
POOL = "-pool"


def role(name: str, values: Mapping[str, Any]) -> str:
    """Return ``test`` or ``dev``, as params.yaml's content has it; ``test`` of a set that it does not know.

    A pool has the role of the set that it is made of.
    """
    sets = params.at(values, "benchmark.sets") or {}
    return str((sets.get(name) or sets.get(name.removesuffix(POOL)) or {}).get("role", "test"))
