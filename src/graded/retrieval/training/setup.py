"""From params and files to a trainer that is ready; shared by the stage, the tests and the benchmark."""

from __future__ import annotations

import os
from typing import Any

import torch

from graded.retrieval.description import Description
from graded.retrieval.flat import FlatModel
from graded.retrieval.tokens import Tokenizer
from graded.retrieval.training import optimizer
from graded.retrieval.training.batch import Source
from graded.retrieval.training.batching import Plan
from graded.retrieval.training.group import Group
from graded.retrieval.training.head import Head
from graded.retrieval.training.negatives import Negatives
from graded.retrieval.training.objectives import objective
from graded.retrieval.training.pairs import Pairs
from graded.retrieval.training.rows import known_relevant, make_rows
from graded.retrieval.training.settings import Settings
from graded.retrieval.training.trainer import Trainer


def source(chosen: Settings, pairs: Pairs, seed: int, negatives: Negatives | None = None) -> Source:
    """Return what batches are drawn from; errors as in :func:`graded.retrieval.training.rows.make_rows`."""
    return Source(
        pairs=pairs,
        passages=pairs.passages,
        rows=make_rows(pairs, chosen.objective, chosen.positives),
        known=known_relevant(pairs, chosen.objective, drop_middle=chosen.negatives.drop_middle),
        negatives=negatives,
        gain=chosen.bixse.gain,
        seed=seed,
    )


def plan(chosen: Settings, drawn: Source, seed: int) -> Plan:
    """Return the steps of the run."""
    steps = chosen.steps if chosen.budget == "steps" else None
    batching = chosen.batching
    return Plan(drawn.rows.lang, chosen.batch_size, batching.mode, batching.alpha, seed, chosen.epochs, steps)


def head(chosen: Settings, record: Description) -> Head:
    """Return the scores and the objective; the temperature is the encoder's where the params name none."""
    return Head(
        objective(chosen.objective, divide=chosen.divide),
        temperature=chosen.temperature or record.temperature or 0.05,
        mask=chosen.mask_false_negatives or chosen.objective == "rand1lh",
        learned=chosen.objective == "bixse",
        unit=record.normalize,
    )


def trainer(
    chosen: Settings, model: FlatModel, tokenizer: Tokenizer, record: Description, drawn: Source, seed: int, group: Group
) -> Trainer:
    """Return a trainer on ``group``'s device; the model moves there."""
    model.to(group.device)
    scores = head(chosen, record).to(group.device)
    made = optimizer.make(
        model,
        scores,
        learning_rate=chosen.learning_rate,
        head_rate=chosen.bixse.learning_rate,
        decay=chosen.weight_decay,
    )
    return Trainer(
        model, scores, made, tokenizer, (record.query_prefix, record.passage_prefix), drawn, plan(chosen, drawn, seed),
        group, warmup=chosen.warmup_ratio, chunk=chosen.chunk, max_norm=chosen.max_grad_norm,
        precision=chosen.precision, seed=seed,
    )  # fmt: skip


def share_cores(threads: int | None) -> None:
    """Give this process its share of the machine's cores (or ``threads``); launchers set one thread by default."""
    if threads is None:
        have: Any = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        threads = max(1, len(have) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(threads)
