"""Section ``train`` of params.yaml, frozen; no heavy import, so that it can be read and checked at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from graded.params import Section


class Negatives(Section):
    """Explicit negatives beside those of the batch."""

    #: Passages a row.
    per_query: int = Field(0, ge=0)
    #: Share of them that is mined with the base encoder; the rest is random, of the query's language.
    share_mined: float = Field(0.0, ge=0, le=1)
    #: First and last rank of the base encoder's ranking that is mined.
    ranks: Annotated[tuple[int, int], Field()] = (10, 100)
    #: A mined passage scores at least this much below the query's lowest positive (cosine).
    margin: float = Field(0.0, ge=0)
    #: Passages graded below tau come first among the mined ones.
    use_below_tau: bool = False
    #: Passages graded below tau but above 0 are neither positives nor negatives.
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
    alpha: float = Field(0.5, ge=0, le=1)


class Bixse(Section):
    """What BiXSE alone reads."""

    #: Target of a grade: linear g / 3, exponential (2^g - 1) / 7.
    gain: Literal["linear", "exponential"] = "linear"
    #: Learning rate of its scale and bias.
    learning_rate: float = Field(1e-3, gt=0)


class Lora(Section):
    """Low-rank adapters instead of all weights; merged into the weights at the end."""

    #: Rank; 0 trains all weights.
    rank: int = Field(0, ge=0)
    #: Scale of the adapters.
    alpha: float = Field(16.0, gt=0)
    #: Probability of dropping an adapter's input.
    dropout: float = Field(0.0, ge=0, lt=1)


class Settings(Section):
    """Section ``train``."""

    #: infonce, bixse, jointlh, summarglh, lsepair or rand1lh.
    objective: Literal["infonce", "bixse", "jointlh", "summarglh", "lsepair", "rand1lh"] = "infonce"
    #: Divisor of the cosine; null is the encoder's own.
    temperature: float | None = Field(None, gt=0)
    #: Rows (pairs, or queries for the multi-positive objectives) of a step over all processes.
    batch_size: int = Field(32, ge=2)
    #: What ends the run: epochs or steps.
    budget: Literal["epochs", "steps"] = "epochs"
    #: Passes over the rows.
    epochs: int = Field(2, ge=1)
    #: Optimiser steps, where the budget is steps.
    steps: int = Field(1000, ge=1)
    #: Peak of AdamW's learning rate.
    learning_rate: float = Field(2e-5, gt=0)
    #: Share of the steps over which it rises.
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    #: AdamW's weight decay on matrices.
    weight_decay: float = Field(0.0, ge=0)
    #: The gradient is scaled down to this norm; 0 leaves it.
    max_grad_norm: float = Field(1.0, ge=0)
    #: Tokens a text is cut to in training; null is the encoder's own.
    max_length: int | None = Field(None, gt=2)
    #: Dropout probability; null is the encoder's own.
    dropout: float | None = Field(None, ge=0, lt=1)
    #: Known positives of a query are no negatives of it (by query id, passage id and text).
    mask_false_negatives: bool = True
    #: Positives of a query in one batch, for the multi-positive objectives.
    positives: int = Field(4, ge=1)
    #: JointLH divided by the number of positives.
    divide: bool = True
    negatives: Negatives = Negatives()
    batching: Batching = Batching()
    bixse: Bixse = Bixse()
    lora: Lora = Lora()
    #: Tokens of one encoder pass (GradCache); 0 takes the batch in one pass.
    chunk: int = Field(0, ge=0)
    #: Recompute each layer in the backward pass.
    gradient_checkpointing: bool = False
    #: fp32, or bf16 for the encoder's products.
    precision: Literal["fp32", "bf16"] = "fp32"
    #: Minutes between two checkpoints; 0 writes one after every step.
    checkpoint_minutes: float = Field(5.0, ge=0)
    #: Of batches, random negatives and dropout; null is the run's own. Data drawn by the run's seed stay as they are.
    seed: int | None = Field(None, ge=0)
    #: CPU threads a process; null shares the cores among the processes.
    threads: int | None = Field(None, ge=1)
