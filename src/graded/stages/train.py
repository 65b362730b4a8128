"""Fine-tune the encoder with Accelerate; start it with `accelerate launch -m graded.stages.train`.

Reads: data/pair.parquet, data/sample/<lang>.parquet (explicit negatives), data/encoder/; accelerate.yaml by way of
the launcher; .work/train/<key>/ where a run was stopped.
Writes: data/model/, data/train/ (curves for `dvc plots`); dvclive/ (speed: of this machine, no output).
"""

from __future__ import annotations

import os
from pathlib import Path

from graded import params
from graded.console import run, say
from graded.retrieval import gpu
from graded.retrieval.training.memory import give_back, one_arena
from graded.retrieval.training.settings import Settings

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

    from graded.retrieval import description, export
    from graded.retrieval.tokens import Tokenizer
    from graded.retrieval.training import card, checkpoint, session, setup
    from graded.retrieval.training.group import Group
    from graded.retrieval.training.pairs import read_pairs

    group = Group.launched()
    record = description.read(ENCODER)
    description.check(ENCODER, record.sha256)
    pairs = read_pairs(PAIR)
    explicit = setup.negatives(chosen, pairs, SAMPLE, ENCODER, seed, group)
    drawn = setup.source(chosen, pairs, seed, explicit)
    model = setup.model(chosen, ENCODER, seed)
    tokenizer = Tokenizer(ENCODER, chosen.max_length or record.max_length)
    trainer = setup.trainer(chosen, model, tokenizer, record, drawn, seed, group)
    trainer.start()
    if group.first:
        say(
            f"train: {len(drawn.rows):,} rows of {len(pairs):,} graded pairs, "
            f"{int(pairs.positive.sum()):,} of them positives; "
            f"{drawn.rows.dropped:,} queries without a positive left out; {trainer.plan.total:,} steps of "
            f"{chosen.batch_size}, {chosen.objective} on {group.size} process{'es' if group.size > 1 else ''} "
            f"({group.device.type})"
        )
    inputs = [PAIR, *(sorted(SAMPLE.glob("*.parquet")) if chosen.negatives.per_query else [])]
    free = {"checkpoint_minutes", "threads"}
    facts = {"seed": seed, "processes": group.size, "encoder": record.sha256, "train": chosen.model_dump(exclude=free)}
    checkpoints = checkpoint.Checkpoints(
        checkpoint.work_folder(checkpoint.make_key(inputs, facts)), chosen.checkpoint_minutes
    )
    session.train(trainer, checkpoints, CURVES, SPEED)
    give_back()  # what the steps used, before the weights are copied to be saved
    if group.first:
        trained = record.model_copy(update={"source": "train", "temperature": setup.temperature(chosen, record)})
        told = setup.facts(chosen, record, drawn, trainer.plan.total, tau, annotator)
        with checkpoint.full_disk(MODEL):
            export.save_folder(setup.merged(chosen, model, ENCODER), ENCODER, MODEL, trained, card.render(told))
        checkpoints.remove()
        say(f"train: {MODEL} written")


if __name__ == "__main__":
    run(main)
