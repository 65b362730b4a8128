"""What scale.yaml counts with that a machine without a GPU can measure: tokens a second on one core.

    python -m bench.scale [--keep]

Two tokenisers over the same passages: all-MiniLM-L6-v2's WordPiece, and a Unigram with Metaspace as XLM-R and
multilingual-e5 have it, trained here on the passages (its 250,002 pieces are not published without the model's files).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"

from bench._encoders import minilm, passages
from bench.harness import Report, interleave

COUNT, ROUNDS, VOCABULARY = 2000, 5, 32_000


def unigram(texts: list[str]) -> Callable[[list[str]], int]:
    """Return a function that tokenises texts by a Unigram and returns how many tokens they have."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=VOCABULARY, unk_token="<unk>"))
    return lambda some: sum(len(one.ids) for one in made.encode_batch(some))


def wordpiece(folder: Path) -> Callable[[list[str]], int]:
    """Return a function that tokenises texts as the stages do, and returns how many tokens they have."""
    from graded.retrieval.tokens import Tokenizer

    made = Tokenizer(minilm(folder), 256)
    return lambda some: int(made(some).lengths.sum())


def rate(count: Callable[[list[str]], int], texts: list[str]) -> float:
    """Return tokens a CPU second."""
    start = time.process_time()
    return count(texts) / (time.process_time() - start)


def main() -> None:
    """Measure and report."""
    texts = passages(COUNT)
    with tempfile.TemporaryDirectory() as name:
        sides = {"unigram": unigram(texts), "wordpiece": wordpiece(Path(name))}
        found = interleave({side: partial(rate, count, texts) for side, count in sides.items()}, ROUNDS)
    report = Report("scale")
    report.ratio("Unigram of 32,000, tokens a second of one core", found["unigram"])
    report.ratio("WordPiece, tokens a second of one core", found["wordpiece"])
    report.end()


if __name__ == "__main__":
    main()
