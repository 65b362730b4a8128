"""How long experiments took on this machine, and what the next ones will: `.work/durations.jsonl`.

Before the first of an encoder has ended, the speed of the last training in this folder says what training alone takes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from graded import params
from graded.formats import table
from graded.formats.record import read_record
from graded.formats.work import work_folder

#: What the last `dvc repro` left here: the encoder it trained, its speed step by step, what it trained on.
MODEL, SPEED = "data/model/encoder.json", "dvclive/plots/metrics/pairs_per_second.tsv"
PAIR = "data/pair.parquet"
#: So many times the largest recorded size, an estimate of hours is a guess.
FAR = 5


def record(name: str, seconds: float, values: Mapping[str, Any]) -> None:
    """Append what one experiment took; ``values`` is its params.yaml."""
    path = work_folder("durations.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {"experiment": name, "seconds": round(seconds, 1), "pairs": pairs(values), "shown": shown(values)}
    line["encoder"] = encoder(values)
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


def shown(values: Mapping[str, Any], share: float = 1.0) -> float | None:
    """Return how many pairs training goes through, over all its steps or epochs; None where that takes all there are.

    ``share`` of the graded pairs are rows of an epoch: for InfoNCE the positives.
    """
    train, once = values.get("train") or {}, pairs(values)
    if train.get("budget") == "steps":
        return float(train["steps"] * train["batch_size"])
    return None if once is None else once * share * float(train.get("epochs", 1))


def encoder(values: Mapping[str, Any]) -> str | None:
    """Return the name of the base encoder."""
    found = params.at(values, "encoder.name")
    return None if found is None else str(found)


def estimate(todo: Sequence[Mapping[str, Any]], jobs: int) -> tuple[float, int] | None:
    """Return seconds for the experiments ``todo`` (their params) and the number of records behind it.

    Where they are known, seconds = a + b x pairs that training goes through, fitted to the records of the same encoder,
    of whatever sweep, by least squares with neither below 0; else the records' mean. None where nothing is recorded.
    """
    if not todo:
        return 0.0, 0
    records = [one for one in read() if one["encoder"] == encoder(todo[0])]
    if not records:
        return None
    mean = float(np.mean([one["seconds"] for one in records]))
    sized = [(one["shown"], one["seconds"]) for one in records if one.get("shown") is not None]
    if len({size for size, _ in sized}) < 2:
        return mean * len(todo) / jobs, len(records)
    from scipy.optimize import nnls

    sizes, seconds = np.array(sized, dtype=np.float64).T
    (start, each), _ = nnls(np.stack([np.ones_like(sizes), sizes], axis=1), seconds)
    total = sum(mean if (size := shown(one)) is None else start + each * size for one in todo)
    return float(total) / jobs, len(records)


def training(todo: Sequence[Mapping[str, Any]], jobs: int) -> tuple[float, float] | None:
    """Return seconds that training alone takes, and the pairs a second of the last training in this folder behind it.

    None where that training was of another encoder, or left nothing to go by.
    """
    model = Path(MODEL)
    if not todo or not (model.is_file() and Path(SPEED).is_file() and Path(PAIR).is_file()):
        return None
    if read_record(model).get("name") != encoder(todo[0]):
        return None
    speeds = []
    with Path(SPEED).open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            with suppress(KeyError, TypeError, ValueError):  # a line that was cut off
                speeds.append(float(row["pairs_per_second"]))
    with table.connect() as connection:
        query = "SELECT count(*), avg(positive::INT) FROM read_parquet(?)"
        every, share = connection.execute(query, [PAIR]).fetchall()[0]
    if not speeds or not share:
        return None
    speed = len(speeds) / sum(1 / max(one, 1e-9) for one in speeds)
    epoch = every * share
    amounts = (shown(one, share) or epoch * float((one.get("train") or {}).get("epochs", 1)) for one in todo)
    return sum(amounts) / speed / jobs, speed


def beyond(todo: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the pairs of the largest recorded run of the same encoder, where ``todo`` has one FAR times as large.

    None where the estimate stays near what was seen, or where sizes are not known.
    """
    if not todo:
        return None
    sizes = [one["pairs"] for one in read() if one["encoder"] == encoder(todo[0]) and one["pairs"] is not None]
    asked = [size for size in map(pairs, todo) if size is not None]
    return max(sizes) if sizes and asked and max(asked) >= FAR * max(sizes) else None
