"""How long experiments took on this machine, and what the next ones will: `.work/durations.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graded import params
from graded.formats.work import work_folder

#: So many times the largest recorded size, an estimate of hours is a guess.
FAR = 5


def record(name: str, seconds: float, values: Mapping[str, Any]) -> None:
    """Append what one experiment took; ``values`` is its params.yaml."""
    path = work_folder("durations.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {"experiment": name, "seconds": round(seconds, 1), "pairs": pairs(values), "encoder": encoder(values)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read() -> list[dict[str, Any]]:
    """Return the records, oldest first; a line that was cut off is left out."""
    found = []
    try:
        lines = work_folder("durations.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def of(name: str) -> float | None:
    """Return the seconds of the latest run of an experiment, from its start to its end, if known here."""
    return next((float(one["seconds"]) for one in reversed(read()) if one["experiment"] == name), None)


def pairs(values: Mapping[str, Any]) -> int | None:
    """Return the graded pairs that a training of these params asks for, all languages together; None is all."""
    pair = values.get("pair") or {}
    if pair.get("size") is None:
        return None
    targets = len(values["languages"]) if pair.get("target", "all") == "all" else 1
    extra = pair.get("extra") or {}
    if extra.get("language") is None:
        return int(pair["size"]) * targets
    return None if extra.get("size") is None else int(pair["size"]) * targets + int(extra["size"])


def encoder(values: Mapping[str, Any]) -> str | None:
    """Return the name of the base encoder."""
    found = params.at(values, "encoder.name")
    return None if found is None else str(found)


def estimate(todo: Sequence[Mapping[str, Any]], jobs: int) -> tuple[float, int] | None:
    """Return seconds for the experiments ``todo`` (their params) and the number of records behind it.

    Where sizes are known, seconds = a + b x pairs, fitted to the records of the same encoder by least squares with
    neither below 0; else the records' mean. None where nothing is recorded.
    """
    if not todo:
        return 0.0, 0
    records = [one for one in read() if one["encoder"] == encoder(todo[0])]
    if not records:
        return None
    mean = float(np.mean([one["seconds"] for one in records]))
    sized = [(one["pairs"], one["seconds"]) for one in records if one["pairs"] is not None]
    if len({size for size, _ in sized}) < 2:
        return mean * len(todo) / jobs, len(records)
    from scipy.optimize import nnls

    sizes, seconds = np.array(sized, dtype=np.float64).T
    (start, each), _ = nnls(np.stack([np.ones_like(sizes), sizes], axis=1), seconds)
    total = sum(mean if (size := pairs(one)) is None else start + each * size for one in todo)
    return float(total) / jobs, len(records)


def beyond(todo: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the pairs of the largest recorded run of the same encoder, where ``todo`` has one FAR times as large.

    None where the estimate stays near what was seen, or where sizes are not known.
    """
    if not todo:
        return None
    sizes = [one["pairs"] for one in read() if one["encoder"] == encoder(todo[0]) and one["pairs"] is not None]
    asked = [size for size in map(pairs, todo) if size is not None]
    return max(sizes) if sizes and asked and max(asked) >= FAR * max(sizes) else None
