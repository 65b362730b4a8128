"""Published values: what the paper and the field report, kept in ``published.json`` with table and source.

A published value stands beside a measured one only where the settings are the same (:func:`table1`,
:func:`table2`, :func:`reference`); on any other run it would compare two different things.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from math import isclose
from typing import Any, NamedTuple


class Published(NamedTuple):
    """One published number, where it stands, and what it is: a change in percent, or a value of the metric."""

    value: float
    source: str
    percent: bool = False

    @property
    def printed(self) -> str:
        """The number with the decimals that it was published with."""
        return f"{self.value:+}%" if self.percent else f"{self.value}"


@cache
def load() -> dict[str, Any]:
    """Return published.json; its ``source`` and ``where`` fields say where each block comes from."""
    text = resources.files("graded.analysis").joinpath("published.json").read_text(encoding="utf-8")
    return json.loads(text)


def in_order(codes: set[str]) -> list[str]:
    """Return language codes in the paper's order (from low to high resource), others behind it by name."""
    order = load()["languages"]["order"]
    return sorted(codes, key=lambda code: (order.index(code) if code in order else len(order), code))


def table1(row: Mapping[str, Any]) -> Published | None:
    """Return Table 1's cell for ``row``, or None where its settings are not Table 1's.

    Args:
        row: a row of the tidy results. Without a second language the cell is nDCG@10, with one it is the relative
            change in percent.
    """
    block = load()["table1"]
    monolingual = row["query_lang"] == row["doc_lang"] == row["target"]
    if not (monolingual and _same(row, block, size=block["size"])) or row["target"] not in block["targets"]:
        return None
    cells, tau = block["targets"][row["target"]], f"{row['tau_target']:g}"
    if tau not in cells["alone"] or (row["extra"] is not None and row["tau_extra"] not in (None, row["tau_target"])):
        return None
    if row["extra"] is None:
        return Published(cells["alone"][tau], block["where"])
    if row["extra"] not in cells["extra"] or row["extra_size"] != block["extra_size"]:
        return None
    return Published(cells["extra"][row["extra"]][tau]["percent"], block["where"], percent=True)


def table2(row: Mapping[str, Any], taus: tuple[float, float]) -> Published | None:
    """Return Table 2's cell (percent change between two ``taus``) for the direction and settings of ``row``."""
    block = load()["table2"]
    trained = row["target"] == row["query_lang"] and row["extra"] is None
    if not (trained and _same(row, block, size=block["size"]) and list(taus) == block["tau"]):
        return None
    value = block["percent"].get(row["query_lang"], {}).get(row["doc_lang"])
    return None if value is None else Published(value, block["where"], percent=True)


def reference(set_name: str, metric: str) -> list[dict[str, Any]]:
    """Return published systems (name, source, values by language) for a benchmark and metric; none is empty."""
    block = load()["reference"]
    return block["systems"] if (set_name, metric) == (block["set"], block["metric"]) else []


def _same(row: Mapping[str, Any], block: Mapping[str, Any], *, size: int) -> bool:
    return (
        row["set"] == block["set"]
        and row["metric"] == block["metric"]
        and row["size"] == size
        and row["count"] == "pairs"
        and _annotator(row, block["annotator"])
        and not row["share_mined"]
        and _trained(row)
    )


def _annotator(row: Mapping[str, Any], wanted: str) -> bool:
    """Return whether the annotator is the one wanted, or a dated snapshot of it; ``gpt-4o-mini`` is no ``gpt-4o``."""
    return re.fullmatch(rf"{re.escape(wanted)}(-\d{{4}}-\d{{2}}-\d{{2}})?", str(row["annotator"]).lower()) is not None


def _trained(row: Mapping[str, Any]) -> bool:
    """Return whether a model was trained as the paper's: encoder, objective, epochs, batch, rate, all weights."""
    recipe = load()["recipe"]
    numbers = {"epochs": "epochs", "batch_size": "batch", "learning_rate": "learning_rate", "warmup_ratio": "warm_up"}
    return (
        str(row["encoder"]).lower() in (recipe["encoder"], f"{recipe['encoder_by']}/{recipe['encoder']}")
        and row["objective"] == recipe["objective"]
        and not row.get("lora_rank")
        and all(row.get(ours) is not None and isclose(row[ours], recipe[theirs]) for ours, theirs in numbers.items())
    )
