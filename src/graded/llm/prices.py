"""What a reply costs: prices.yaml, dated and sourced; an unknown price is an error, never 0."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from graded.errors import ParamError, one_of
from graded.formats import yaml12
from graded.llm.reply import Usage
from graded.llm.request import Model
from graded.params import Section, parse

PRICES = Path("prices.yaml")


class Price(Section):
    """Dollars per million tokens."""

    input: float = Field(ge=0, allow_inf_nan=False, description="prompt tokens")
    cached: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="prompt tokens that the endpoint had cached; null: as input"
    )
    output: float = Field(ge=0, allow_inf_nan=False, description="completion tokens")
    source: str = Field(min_length=1, description="where the price stands, or `own server`")
    date: str | None = Field(None, description="when it was read there; null: the file's date")

    @model_validator(mode="after")
    def _check(self) -> Price:
        if self.cached is not None and self.cached > self.input:
            raise ValueError(f"cached: received {self.cached:g}; expected at most the {self.input:g} of input")
        if self.date is not None:
            check_date(self.date)
        return self

    def dollars(self, usage: Usage) -> float:
        """Return the price of one reply."""
        cached = self.input if self.cached is None else self.cached
        fresh = usage.prompt - usage.cached
        return (fresh * self.input + usage.cached * cached + usage.completion * self.output) / 1e6

    def worst(self, body: bytes, messages: int, max_tokens: int) -> float:
        """Return the most that one request of so many messages can cost, from its ``body`` as it is sent.

        A token is at least a byte of UTF-8, tools and formats in the body counted; 16 more frame each message.
        """
        tokens = len(body) + 16 * (messages + 1)
        return (tokens * self.input + max_tokens * self.output) / 1e6


class Prices(NamedTuple):
    """All prices; ``batch`` is the factor of the batch interfaces."""

    models: dict[str, dict[str, Any]]
    batch: float
    path: Path

    def of(self, model: Model) -> Price:
        """Return the price of ``model``.

        Raises:
            ParamError: the file has none for this family and model.
        """
        known = self.models.get(model.family) or {}
        if model.model not in known:
            legal = one_of(model.model, known) if known else f"received {model.model!r}; it knows none"
            raise ParamError(
                f"{self.path} has no price for family {model.family}: {legal}; add it with its date and source "
                "(0 for an own server has to be said)"
            )
        return parse(f"models.{model.family}.{model.model}", known[model.model], Price, self.path)


def load() -> Prices:
    """Return prices.yaml, with the file that GRADED_PRICES names laid over it.

    Raises:
        MissingError: a file is not here.
        ParamError: a file is not what it should be.
    """
    base = _read(PRICES)
    over = os.environ.get("GRADED_PRICES")
    if not over:
        return Prices(base["models"], base.get("batch", 1.0), PRICES)
    top = _read(Path(over))
    models = {**base["models"]}
    for family, entries in top["models"].items():
        models[family] = {**(models.get(family) or {}), **(entries or {})}
    return Prices(models, top.get("batch", base.get("batch", 1.0)), Path(over))


def _read(path: Path) -> dict[str, Any]:
    values = yaml12.read_mapping(path, "it holds the price of each model")
    for name in values:
        if name not in ("date", "batch", "models"):
            raise ParamError(f"{path}: {one_of(name, ('date', 'batch', 'models'))}")
    models = values.get("models")
    if not isinstance(models, dict):
        raise ParamError(f"{path}: expected a mapping with 'models'")
    for family, entries in models.items():
        if not isinstance(entries, dict | None):
            raise ParamError(f"{path}: models.{family}: received {entries!r}; expected a mapping of models to prices")
    factor = values.get("batch", 1.0)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
        raise ParamError(
            f"{path}: batch: received {factor!r}; expected what a batch costs of the price, above 0 and up to 1, as 0.5"
        )
    if "date" not in values:
        raise ParamError(f"{path}: date is missing; say when its prices were read, such as date: 2026-11-21")
    try:
        check_date(values["date"])
    except ValueError as error:
        raise ParamError(f"{path}: {error}") from None
    return values


def check_date(value: Any) -> None:
    """Return where ``value`` is a day as text, such as 2026-11-21.

    Raises:
        ValueError: it is none.
    """
    try:
        date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"date: received {value!r}; expected a day such as 2026-11-21") from None
