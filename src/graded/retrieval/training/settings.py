"""Section ``train`` of params.yaml, frozen; no heavy import, so that it can be read and checked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from graded.params import Section


def _number(legal: str, holds: Callable[[Any], bool], *, whole: bool = False) -> BeforeValidator:
    """Return a check that lets through finite numbers for which ``holds``; never true and false, nor text."""

    def check(value: Any) -> Any:
        kinds = (int,) if whole else (int, float)
        finite = isinstance(value, kinds) and not isinstance(value, bool) and -1e300 < value < 1e300
        if not (finite and holds(value)):
            raise ValueError(f"expected a {'whole' if whole else 'finite'} number {legal}")
        return value

    return BeforeValidator(check)


Positive = Annotated[float, _number("above 0", lambda value: value > 0)]
NotNegative = Annotated[float, _number("from 0 up", lambda value: value >= 0)]
Share = Annotated[float, _number("from 0 to 1", lambda value: 0 <= value <= 1)]
Part = Annotated[float, _number("from 0 to below 1", lambda value: 0 <= value < 1)]
Count = Annotated[int, _number("from 1 up", lambda value: value >= 1, whole=True)]
FromZero = Annotated[int, _number("from 0 up", lambda value: value >= 0, whole=True)]
Rows = Annotated[int, _number("from 2 up", lambda value: value >= 2, whole=True)]
Length = Annotated[int, _number("from 3 up", lambda value: value >= 3, whole=True)]


class Negatives(Section):
    """Explicit negatives beside those of the batch."""

    #: Passages a row.
    per_query: FromZero = 0
    #: Share of them that is mined with the base encoder; the rest is random, of the query's language.
    share_mined: Share = 0.0
    #: First and last rank of the base encoder's ranking that is mined.
    ranks: tuple[Count, Count] = (10, 100)
    #: A mined passage scores at least this much (cosine) below the query's lowest positive; null filters nothing.
    margin: NotNegative | None = None
    #: The query's own passages graded below tau are drawn first; ``share_mined`` is of what they leave.
    use_below_tau: bool = False
    #: Passages graded below tau but above 0 are neither positives nor negatives, explicit ones included.
    drop_middle: bool = False

    @model_validator(mode="after")
    def _window(self) -> Negatives:
        if not 1 <= self.ranks[0] <= self.ranks[1]:
            raise ValueError(f"ranks {list(self.ranks)}: expected 1 <= first <= last")
        return self


class Batching(Section):
    """Which languages meet in a batch."""

    #: mixed, homogeneous (one language a batch) or temperature (languages drawn by size ** alpha).
    mode: Literal["mixed", "homogeneous", "temperature"] = "mixed"
    #: Exponent of temperature sampling: 1 as the data, 0 every language alike.
    alpha: Share = 0.5


class Bixse(Section):
    """What BiXSE alone reads."""

    #: Target of a grade: linear g / 3, exponential (2^g - 1) / 7.
    gain: Literal["linear", "exponential"] = "linear"
    #: Learning rate of its scale and bias.
    learning_rate: Positive = 1e-3


class Lora(Section):
    """Low-rank adapters instead of all weights; merged into the weights at the end."""

    #: Rank; 0 trains all weights.
    rank: FromZero = 0
    #: Scale of the adapters.
    alpha: Positive = 16.0
    #: Probability of dropping an adapter's input.
    dropout: Part = 0.0


class Settings(Section):
    """Section ``train``."""

    #: infonce, bixse, jointlh, summarglh, lsepair or rand1lh.
    objective: Literal["infonce", "bixse", "jointlh", "summarglh", "lsepair", "rand1lh"] = "infonce"
    #: Divisor of the cosine; null is the encoder's own.
    temperature: Positive | None = None
    #: Rows (pairs, or queries for the multi-positive objectives) of a step over all processes.
    batch_size: Rows = 32
    #: What ends the run: epochs or steps.
    budget: Literal["epochs", "steps"] = "epochs"
    #: Passes over the rows.
    epochs: Count = 2
    #: Optimiser steps, where the budget is steps.
    steps: Count = 1000
    #: Peak of AdamW's learning rate.
    learning_rate: Positive = 2e-5
    #: Share of the steps over which it rises.
    warmup_ratio: Part = 0.05
    #: AdamW's weight decay on matrices.
    weight_decay: NotNegative = 0.0
    #: The gradient is scaled down to this norm; 0 leaves it.
    max_grad_norm: NotNegative = 1.0
    #: Tokens a text is cut to in training; null is the encoder's own.
    max_length: Length | None = None
    #: Dropout probability; null is the encoder's own.
    dropout: Part | None = None
    #: Known positives of a query are no negatives of it (by query id, passage id and text).
    mask_false_negatives: bool = True
    #: An id is the same text in every language (a parallel corpus); else ids are compared within a language.
    parallel_ids: bool = False
    #: Positives of a query in one batch, for the multi-positive objectives.
    positives: Count = 4
    #: JointLH divided by the number of positives.
    divide: bool = True
    negatives: Negatives = Negatives()
    batching: Batching = Batching()
    bixse: Bixse = Bixse()
    lora: Lora = Lora()
    #: Tokens of one encoder pass (GradCache); 0 takes the batch in one pass.
    chunk: FromZero = 0
    #: Recompute each layer in the backward pass.
    gradient_checkpointing: bool = False
    #: fp32, or bf16 for the encoder's products.
    precision: Literal["fp32", "bf16"] = "fp32"
    #: Minutes between two checkpoints; 0 writes one after every step.
    checkpoint_minutes: NotNegative = 5.0
    #: Of batches, random negatives and dropout; null is the run's own. Data drawn by the run's seed stay as they are.
    seed: FromZero | None = None
    #: CPU threads a process; null shares the cores among the processes.
    threads: Count | None = None
