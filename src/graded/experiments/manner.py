"""Settings that say how a stage does its work, not what it makes: two runs that differ in them alone are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of a section of params.yaml, or of an annotator, other than those of `train`: memory, units of work, one by one
#: or in batches, where a model is reached and how fast it is asked.
MANNER = frozenset(
    {"memory_gb", "unit", "mode", "batch"}
    | {"base_url", "deployment", "batch_deployment", "key_env", "in_flight", "timeout"}
)


def without(section: Any) -> Any:
    """Return a section's content without those keys, its annotators' too; what is no mapping as it is."""
    if not isinstance(section, Mapping):
        return section
    kept = {name: value for name, value in section.items() if name not in MANNER}
    if isinstance(kept.get("annotators"), Mapping):
        kept["annotators"] = {name: without(one) for name, one in kept["annotators"].items()}
    return kept
