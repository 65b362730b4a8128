"""The step: against a plain loop in torch, in chunks, on any number of cores and processes, stopped and gone on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import multiprocessing
from torch.nn.functional import cross_entropy, normalize

from graded.errors import ServiceError
from graded.retrieval.training import session
from graded.retrieval.training.checkpoint import Checkpoints
from graded.retrieval.training.objectives import OBJECTIVES
from graded.retrieval.training.trainer import Event
from tests import training


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.state().items()}


def sums(trainer: Any) -> list[float]:
    return [float(value.detach().double().sum()) for value in trainer.model.parameters()]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_equals_a_plain_loop(layout: Path) -> None:
    """InfoNCE without masks against cross-entropy on the in-batch scores, torch's clipping, schedule and AdamW."""
    ours = training.trainer(layout, mask_false_negatives=False, steps=6, warmup_ratio=0.2, max_grad_norm=0.5)
    plain = training.trainer(layout, steps=6)  # for its model, texts and plan
    model = plain.model
    model.word_embeddings.sparse = False
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-3, weight_decay=0.0)
    expected = []
    for step in range(6):
        epoch, rows = plain.plan.batch(step)
        batch = plain.source.batch(rows, epoch, 1)
        tokens = plain.tokens(batch)
        vectors = normalize(model(torch.from_numpy(tokens.ids), tokens.lengths), dim=1)
        scores = vectors[: len(rows)] @ vectors[len(rows) :].T / 0.1
        loss = cross_entropy(scores, torch.arange(len(rows)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.param_groups[0]["lr"] = 1e-3 * (step / 2 if step < 2 else (6 - step) / 4)
        optimizer.step()
        expected.append(loss.item())
    assert training.curve(ours) == pytest.approx(expected, rel=1e-5)
    assert expected[-1] < expected[0]
    for (name, one), (_, other) in zip(ours.model.named_parameters(), model.named_parameters(), strict=True):
        if "key.bias" not in name:  # softmax does not see it: its gradient is rounding, which Adam blows up
            torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_chunks_give_the_gradient_of_the_whole_batch_with_dropout_on(layout: Path, name: str) -> None:
    made = training.trainer(layout, objective=name, chunk=60, dropout=0.2)
    made.model.train()
    batch = made.source.batch(made.plan.batch(0)[1], 0, 1)
    found = []
    for way in (made.gradient, lambda batch: whole(made, batch)):
        torch.manual_seed(1)
        found.append(way(batch))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one.to_dense(), other.to_dense(), rtol=1e-4, atol=1e-6)


def whole(made: Any, batch: Any) -> tuple[float, list[Any]]:
    """Return the loss and gradients of ``batch`` with every chunk's graph held in memory at once."""
    from graded.retrieval.tokens import chunks

    tokens = made.tokens(batch)
    parts = chunks(tokens.lengths, 60)
    vectors = torch.cat([made.lanes.run(tokens, part) for part in parts])
    vectors = vectors[torch.from_numpy(np.argsort(np.concatenate(parts)))]
    askers, offered = made.source.keys(batch, 0, torch.device("cpu"))
    asked = len(batch.query)
    loss = made.head.losses(vectors[:asked], vectors[asked:], askers, offered).sum() / asked
    return loss.item(), list(torch.autograd.grad(loss, made.lanes.trained, allow_unused=True))


def test_the_number_of_cores_changes_no_bit(layout: Path) -> None:
    one, two = (training.trainer(layout, threads=threads, steps=2) for threads in (1, 2))
    assert training.curve(one) == training.curve(two)
    assert same(weights(one), weights(two))


@pytest.mark.parametrize(("objective", "stops"), [("infonce", (1, 4)), ("bixse", (2,))])
def test_stopped_after_any_step_it_goes_on_bit_for_bit(
    layout: Path, tmp_path: Path, objective: str, stops: tuple[int, ...]
) -> None:
    plain = training.trainer(layout, objective=objective, dropout=0.1, weight_decay=0.01, steps=5)
    plain.start()
    session.train(plain, Checkpoints(tmp_path / "plain", 60), tmp_path / "curves", tmp_path / "speed")
    for stop in stops:
        folder = tmp_path / str(stop)

        def halt(event: Event, stop: int = stop) -> None:
            if event.step == stop + 1:  # a step after the checkpoint is lost with the process
                raise KeyboardInterrupt

        for attempt in range(2):
            made = training.trainer(layout, objective=objective, dropout=0.1, weight_decay=0.01, steps=5)
            made.start()
            checkpoints = Checkpoints(folder, 0)
            if attempt == 0:
                run = made.run

                def stopped(start: int, done: Any, run: Any = run, halt: Any = halt) -> None:
                    run(start, lambda event: (halt(event), done(event)))

                made.run = stopped
                with pytest.raises(KeyboardInterrupt):
                    session.train(made, checkpoints, tmp_path / f"curves-{stop}", tmp_path / "speed")
                assert [path.name for path in sorted(folder.iterdir())][-1] == f"step-{stop:09}"
                assert len(list(folder.iterdir())) <= 2
            else:
                session.train(made, checkpoints, tmp_path / f"curves-{stop}", tmp_path / "speed")
        assert same(weights(made), weights(plain))
        lines = (tmp_path / f"curves-{stop}" / "plots" / "metrics" / "loss.tsv").read_text().splitlines()
        assert [line.split("\t")[0] for line in lines] == ["step", "1", "2", "3", "4", "5"]


def test_a_loss_that_is_no_number_is_one_line_and_moves_nothing(layout: Path, tmp_path: Path) -> None:
    made = training.trainer(layout, steps=3)
    before = weights(made)
    with torch.no_grad():
        made.head.log_scale.fill_(math.nan)
    with pytest.raises(ServiceError, match=r"train: loss nan, .* at step 1 of 3; lower train.learning_rate") as caught:
        session.train(made, Checkpoints(tmp_path, 5), tmp_path / "curves", tmp_path / "speed")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in weights(made).items() if name != "head.log_scale")


def test_memory_that_runs_out_is_one_line(layout: Path, tmp_path: Path) -> None:
    made = training.trainer(layout, steps=3)

    def huge(*_: Any) -> None:
        torch.empty(1 << 60)

    made.lanes.run = huge
    with pytest.raises(ServiceError, match=r"train: out of memory .*; set train.chunk to .* such as 4096"):
        session.train(made, Checkpoints(tmp_path, 5), tmp_path / "curves", tmp_path / "speed")


CASES: list[dict[str, Any]] = [{"objective": name, "chunk": chunk} for name in sorted(OBJECTIVES) for chunk in (0, 50)]
#: Every objective once, half of them in chunks: what the default run looks at.
SOME = CASES[0::4] + CASES[3::4]
COMMON: dict[str, Any] = {"batch_size": 9, "learning_rate": 2e-4}


def ranks(rank: int, size: int, folder: str, store: str, cases: list[dict[str, Any]]) -> None:
    """Run ``cases`` as process ``rank`` of ``size``; the first writes the curves and a digest of the weights."""
    from graded.retrieval.training.group import Group

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    found = []
    for case in cases:
        made = training.trainer(Path(folder), Group(rank, size), **COMMON, **case)
        found.append((training.curve(made), sums(made)))
    if rank == 0:
        Path(store + ".json").write_text(json.dumps(found), encoding="utf-8")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("size", "cases", "steps"),
    [
        pytest.param(2, SOME, 3, marks=pytest.mark.slow),
        pytest.param(2, CASES, 6, marks=pytest.mark.slow),
        pytest.param(4, CASES, 6, marks=pytest.mark.slow),
    ],
)
def test_several_processes_give_the_curve_of_one(
    layout: Path, tmp_path: Path, size: int, cases: list[dict[str, Any]], steps: int
) -> None:
    """Every objective, with and without chunks; the global batch of 9 does not divide among the processes."""
    store = str(tmp_path / "store")
    cases = [case | {"steps": steps} for case in cases]
    multiprocessing.spawn(ranks, (size, str(layout), store, cases), nprocs=size)
    found = json.loads(Path(store + ".json").read_text(encoding="utf-8"))
    for case, (losses, total) in zip(cases, found, strict=True):
        made = training.trainer(layout, **COMMON, **case)
        assert losses == pytest.approx(training.curve(made), abs=1e-5, rel=1e-5), case
        assert total == pytest.approx(sums(made), abs=2e-3), case
