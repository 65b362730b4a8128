"""Fine-tune the encoder with Accelerate; start it with `accelerate launch -m graded.stages.train`.

Reads: data/pair.parquet, data/sample/<lang>.parquet (explicit negatives), data/encoder/; accelerate.yaml by way of
the launcher.
Writes: data/model/.
"""

from __future__ import annotations

import os
from pathlib import Path

from graded import params
from graded.console import Progress, run, say
from graded.retrieval.training.settings import Settings

PAIR, SAMPLE, ENCODER, MODEL = Path("data/pair.parquet"), Path("data/sample"), Path("data/encoder"), Path("data/model")


class Params(Settings):
    """Section ``train``; the fields are :class:`graded.retrieval.training.settings.Settings`."""


def main() -> None:
    """Run the stage."""
    chosen, seed = params.section("train", Params), params.seed()
    tau, annotator = params.shared("tau"), str(params.shared("annotator"))
    # Waiting threads sleep: spinning ones cost most of a machine that runs anything else. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    from graded.retrieval import description, export
    from graded.retrieval.flat import FlatModel
    from graded.retrieval.tokens import Tokenizer
    from graded.retrieval.training import card, setup
    from graded.retrieval.training.group import Group
    from graded.retrieval.training.pairs import read_pairs
    from graded.retrieval.training.trainer import Event

    group = Group.launched()
    pairs = read_pairs(PAIR)
    drawn = setup.source(chosen, pairs, seed)
    record = description.read(ENCODER)
    description.check(ENCODER, record.sha256)
    model = FlatModel.load(ENCODER, dropout=chosen.dropout, gradient_checkpointing=chosen.gradient_checkpointing)
    trainer = setup.trainer(
        chosen, model, Tokenizer(ENCODER, chosen.max_length or record.max_length), record, drawn, seed, group
    )
    trainer.start()
    total = trainer.plan.total
    if group.first:
        say(
            f"train: {len(drawn.rows):,} rows of {len(pairs):,} graded pairs, "
            f"{int(pairs.positive.sum()):,} of them positives; "
            f"{drawn.rows.dropped:,} queries without a positive left out; {total:,} steps of {chosen.batch_size}, "
            f"{chosen.objective} on {group.size} process{'es' if group.size > 1 else ''} ({group.device.type})"
        )
    with Progress("train", total * chosen.batch_size, "pairs") as progress:

        def done(event: Event) -> None:
            if group.first:
                progress.update(event.rows, f"step {event.step:,}/{event.total:,}, loss {event.loss:.4f}")

        trainer.run(done=done)
    if group.first:
        trained = record.model_copy(update={"source": "train", "temperature": setup.temperature(chosen, record)})
        told = setup.facts(chosen, record, drawn, total, tau, annotator)
        export.save_folder(model, ENCODER, MODEL, trained, card.render(told))
        say(f"train: {MODEL} written")


if __name__ == "__main__":
    run(main)
