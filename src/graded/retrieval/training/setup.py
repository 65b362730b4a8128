"""From params and files to a trainer that is ready; shared by the stage, the tests and the benchmark."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graded.console import say
from graded.errors import ParamError
from graded.retrieval.description import Description, read
from graded.retrieval.encoder import Encoder
from graded.retrieval.flat import FlatModel
from graded.retrieval.flat_linear import half_is_native
from graded.retrieval.threads import cores
from graded.retrieval.tokens import Tokenizer
from graded.retrieval.training.batch import Source
from graded.retrieval.training.batching import Plan
from graded.retrieval.training.body import check_length, drops
from graded.retrieval.training.card import Facts
from graded.retrieval.training.embed import Lanes
from graded.retrieval.training.group import Group
from graded.retrieval.training.head import Head
from graded.retrieval.training.mining import mine
from graded.retrieval.training.negatives import Negatives, below_tau, pools
from graded.retrieval.training.objectives import objective
from graded.retrieval.training.optimizer import Optimizer
from graded.retrieval.training.pairs import Pairs, Texts
from graded.retrieval.training.rows import known_relevant, make_rows
from graded.retrieval.training.settings import Settings
from graded.retrieval.training.trainer import Trainer


def source(chosen: Settings, pairs: Pairs, seed: int, explicit: tuple[Texts, Negatives] | None = None) -> Source:
    """Return what batches are drawn from; errors as in :func:`graded.retrieval.training.rows.make_rows`.

    ``explicit`` is what :func:`negatives` returned, where the params ask for explicit negatives.
    """
    return Source(
        pairs=pairs,
        passages=explicit[0] if explicit else pairs.passages,
        rows=make_rows(pairs, chosen.objective, chosen.positives),
        known=known_relevant(pairs, chosen.objective, drop_middle=chosen.negatives.drop_middle),
        negatives=explicit[1] if explicit else None,
        gain=chosen.bixse.gain,
        seed=seed,
    )


def negatives(
    chosen: Settings, pairs: Pairs, sample: Path, encoder: Path, seed: int, group: Group
) -> tuple[Texts, Negatives] | None:
    """Return all passages and the explicit negatives among them; None where the params ask for none.

    Where some are mined, each process ranks some languages with the base encoder in ``encoder``.
    """
    asked = chosen.negatives
    if not asked.per_query:
        return None
    passages, pool = pools(pairs, sample)
    banned = known_relevant(pairs, chosen.objective, drop_middle=asked.drop_middle)
    none = np.empty(0, np.int64)
    front = below_tau(pairs, drop_middle=asked.drop_middle) if asked.use_below_tau else [none] * len(pairs.queries)
    mined = np.full((len(pairs.queries), 0), -1, np.int64)
    if asked.share_mined:
        dtype = "bfloat16" if chosen.precision == "bf16" else "float32"
        device = str(group.device) if group.device.type != "cpu" else "cpu"
        facts = {"encoder": read(encoder).model_dump(), "dtype": dtype, "device": group.device.type}

        def load() -> Encoder:
            return Encoder.load(encoder, device=device, dtype=dtype, workers=own_threads(chosen.threads))

        mined = mine(load, facts, pairs, passages, pool, banned, asked.ranks, asked.margin, group)
        if group.first:
            say(shortfall(mined, asked.share_mined * asked.per_query))
    share = asked.share_mined
    return passages, Negatives(
        front, mined, pool, pairs.query_lang, banned, passages.keys, asked.per_query, share, seed
    )


def shortfall(mined: np.ndarray, wanted: float) -> str:
    """Return one line: how many queries have the ``wanted`` mined candidates a row."""
    have = (mined >= 0).sum(1)
    enough = int((have >= wanted).sum())
    line = f"train: mined {have.mean():,.1f} negatives a query; {enough:,} of {len(have):,} queries have {wanted:g}"
    few = len(have) - enough
    return line if not few else f"{line}, random ones stand in for those of the other {few:,}: widen negatives.ranks"


def plan(chosen: Settings, drawn: Source, seed: int) -> Plan:
    """Return the steps of the run."""
    steps = chosen.steps if chosen.budget == "steps" else None
    batching = chosen.batching
    return Plan(drawn.rows.lang, chosen.batch_size, batching.mode, batching.alpha, seed, chosen.epochs, steps)


def temperature(chosen: Settings, record: Description) -> float:
    """Return the temperature: the params', or the encoder's own.

    Raises:
        ParamError: neither says one.
    """
    value = chosen.temperature or record.temperature
    if value is None:
        raise ParamError("train.temperature: received null, and the encoder names none; give one such as 0.05")
    return value


def head(chosen: Settings, record: Description) -> Head:
    """Return the scores and the objective."""
    return Head(
        objective(chosen.objective, divide=chosen.divide),
        temperature=temperature(chosen, record),
        mask=chosen.mask_false_negatives or chosen.objective == "rand1lh",
        learned=chosen.objective == "bixse",
        unit=record.normalize,
    )


def trainer(
    chosen: Settings,
    model: FlatModel,
    tokenizer: Tokenizer,
    record: Description,
    drawn: Source,
    seed: int,
    group: Group,
) -> Trainer:
    """Return a trainer on ``group``'s device; the model moves there.

    Raises:
        ParamError: texts of the tokenizer's length have no positions in the model.
    """
    check_length(model, tokenizer.max_length)
    model.to(group.device)
    scores = head(chosen, record).to(group.device)
    steps = plan(chosen, drawn, seed)
    on_cpu = group.device.type == "cpu"
    made = Optimizer(
        model, scores, learning_rate=chosen.learning_rate, head_rate=chosen.bixse.learning_rate,
        decay=chosen.weight_decay, total=steps.total, warmup=chosen.warmup_ratio,
        table=model.word_embeddings if on_cpu else None,
    )  # fmt: skip
    if chosen.precision == "bf16" and on_cpu and group.first and not half_is_native():
        say("train: this CPU has no bfloat16 instructions and emulates them; train.precision: fp32 is faster here")
    context = partial(torch.autocast, group.device.type, torch.bfloat16, enabled=chosen.precision == "bf16")
    lanes = Lanes(model, made.trained, group.device, context, dropout=drops(model), threads=own_threads(chosen.threads))
    prefixes = (record.query_prefix, record.passage_prefix)
    return Trainer(
        model, lanes, scores, made, tokenizer, prefixes, drawn, steps, group,
        chunk=chosen.chunk, max_norm=chosen.max_grad_norm, seed=seed,
    )  # fmt: skip


def facts(chosen: Settings, record: Description, drawn: Source, steps: int, tau: Any, annotator: str) -> Facts:
    """Return what the model card says."""
    pairs = drawn.pairs
    lang = pairs.query_lang[pairs.query]
    counts = np.bincount(lang, minlength=len(pairs.languages)).tolist()
    positives = np.bincount(lang[pairs.positive], minlength=len(pairs.languages)).tolist()
    return Facts(
        base=record.name, revision=record.revision, languages=pairs.languages,
        pairs=dict(zip(pairs.languages, counts, strict=True)),
        positives=dict(zip(pairs.languages, positives, strict=True)),
        tau=tau, gain=chosen.bixse.gain, annotator=annotator, objective=chosen.objective,
        temperature=temperature(chosen, record), steps=steps,
        batch_size=chosen.batch_size, learning_rate=chosen.learning_rate, max_length=record.max_length,
        pooling=record.pooling, query_prefix=record.query_prefix, passage_prefix=record.passage_prefix,
    )  # fmt: skip


def own_threads(asked: int | None) -> int:
    """Return ``asked``, or this process's share of its host's cores, and let torch use as many threads."""
    count = asked or max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    torch.set_num_threads(count)
    return count
