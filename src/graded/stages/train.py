"""Fine-tune the encoder with Accelerate; start it with `accelerate launch -m graded.stages.train`.

Reads: data/pair.parquet, data/sample/<lang>.parquet (explicit negatives), data/encoder/; accelerate.yaml by way of
the launcher; .work/train/<key>/ and .work/mined/ where a run was stopped.
Writes: data/model/, data/train/ (curves for `dvc plots`); dvclive/ (speed: of this machine, no output).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from graded import params
from graded.console import run, say
from graded.errors import many
from graded.formats.work import work_folder
from graded.retrieval import gpu
from graded.retrieval.memory import give_back, one_arena
from graded.retrieval.peers import once
from graded.retrieval.training.settings import Settings

if TYPE_CHECKING:
    from graded.retrieval.description import Description
    from graded.retrieval.training.card import Facts
    from graded.retrieval.training.checkpoint import Checkpoints
    from graded.retrieval.training.trainer import Trainer

PAIR, SAMPLE, ENCODER = Path("data/pair.parquet"), Path("data/sample"), Path("data/encoder")
MODEL, CURVES, SPEED = Path("data/model"), Path("data/train"), Path("dvclive")


class Params(Settings):
    """Section ``train``; the fields are :class:`graded.retrieval.training.settings.Settings`."""


def main() -> None:
    """Run the stage."""
    chosen = params.section("train", Params)
    seed = params.seed() if chosen.seed is None else chosen.seed
    tau, annotator = params.shared("tau"), str(params.shared("annotator"))
    # Waiting threads sleep: spinning ones cost most of a machine that runs anything else. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    one_arena()
    gpu.claim()

    from graded.retrieval import description
    from graded.retrieval.tokens import Tokenizer
    from graded.retrieval.training import body, session, setup
    from graded.retrieval.training.group import Group
    from graded.retrieval.training.pairs import read_pairs

    group = Group.launched()
    record = description.read(ENCODER)
    description.check(ENCODER, record.sha256)
    pairs = read_pairs(PAIR, parallel=chosen.parallel_ids)
    with session.scarce("lower sample.size, or start fewer processes on this machine"):
        explicit = setup.negatives(chosen, pairs, SAMPLE, ENCODER, seed, group)
        drawn = setup.source(chosen, pairs, seed, explicit)
    with session.scarce(session.smaller(chosen.chunk)):
        model = body.load(chosen, ENCODER, seed)
        tokenizer = Tokenizer(ENCODER, chosen.max_length or record.max_length)
        trainer = setup.trainer(chosen, model, tokenizer, record, drawn, seed, group)
        trainer.start()
    if group.first:
        say(
            f"train: {many(len(drawn.rows), 'row')} of {len(pairs):,} graded pairs, "
            f"{int(pairs.positive.sum()):,} of them positives; "
            f"{many(drawn.rows.dropped, 'query')} without a positive left out; {many(trainer.plan.total, 'step')} of "
            f"{chosen.batch_size} rows, {trainer.shown(trainer.plan.total):,} pairs, {chosen.objective} "
            f"on {many(group.size, 'process')} ({group.device.type})"
        )
    checkpoints = kept(chosen, seed, record, trainer)
    session.train(trainer, checkpoints, CURVES, SPEED)
    give_back()  # what the steps used, before the weights are copied to be saved
    if group.first:
        told = setup.facts(chosen, record, drawn, trainer.plan.total, tau, annotator)
        save(chosen, record, trainer, told)
        checkpoints.remove()
        say(f"train: {MODEL} written")


def kept(chosen: Params, seed: int, record: Description, trainer: Trainer) -> Checkpoints:
    """Return where this run's checkpoints are: by a hash of all that its result depends on."""
    from graded.retrieval.training import checkpoint

    inputs = [PAIR, *(sorted(SAMPLE.glob("*.parquet")) if chosen.negatives.per_query else [])]
    train = chosen.model_dump(exclude={"checkpoint_minutes", "threads"})
    # Two threads a lane may sum in another order than one; with dropout there is one lane, of all the cores.
    threads = trainer.lanes.threads if trainer.group.device.type == "cpu" else None
    processes = trainer.group.size
    facts = {"seed": seed, "processes": processes, "threads": threads, "encoder": record.sha256, "train": train}
    key = checkpoint.make_key(inputs, facts)
    return checkpoint.Checkpoints(work_folder("train", key), chosen.checkpoint_minutes)


def save(chosen: Params, record: Description, trainer: Trainer, told: Facts) -> None:
    """Write the model's folder."""
    from graded.retrieval import export
    from graded.retrieval.training import body, card, setup

    trained = record.model_copy(update={"source": "train", "temperature": setup.temperature(chosen, record)})
    learned = trainer.head.learned()
    beside = {"bixse.json": learned} if learned else {}
    model = body.merged(chosen, trainer.model, ENCODER)
    export.save_folder(model, ENCODER, MODEL, trained, card.render(told), beside)


if __name__ == "__main__":
    run(once(main))
