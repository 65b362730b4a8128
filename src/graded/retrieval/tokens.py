"""Texts to token ids without padding, and token-sorted chunks of them.

Padding is what a batched encoder wastes: 5,000 XQuAD passages in batches of 32 carry 2.5 padded tokens a real one
unsorted, 1.5 sorted by characters, 1.01 sorted by tokens. Here nothing is padded: a chunk is one flat row of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graded.errors import DataError, flat

Ints = npt.NDArray[np.int64]

#: Texts tokenised at once; bounds the memory of the tokenizer's own records.
SLICE = 2048


class Tokens(NamedTuple):
    """Token ids of n texts, one after another."""

    #: [tokens] int32.
    ids: npt.NDArray[np.int32]
    #: [n] int64, tokens of each text.
    lengths: Ints

    @property
    def starts(self) -> Ints:
        """[n] int64, where each text begins in ``ids``."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, which: Ints) -> Tokens:
        """Return the texts ``which``, in that order."""
        lengths = self.lengths[which]
        return Tokens(self.ids[spread(self.starts[which], lengths)], lengths)


def spread(starts: Ints, lengths: Ints) -> Ints:
    """Return the concatenation of ``arange(start, start + length)`` over all pairs."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


class Tokenizer:
    """A model folder's tokenizer, cutting at ``max_length`` tokens with the special tokens counted."""

    def __init__(self, folder: Path, max_length: int) -> None:
        """Open it.

        Raises:
            DataError: transformers cannot open the tokenizer.
        """
        from transformers import AutoTokenizer

        try:
            self.hub: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: the tokenizer does not open ({flat(error)})") from None
        self.max_length = max_length
        self._backend: Any = getattr(self.hub, "backend_tokenizer", None)
        if self._backend is not None:
            self._backend.no_padding()
            self._backend.enable_truncation(max_length)

    def __call__(self, texts: Sequence[str], prefix: str = "", workers: int = 1) -> Tokens:
        """Return the ids of ``prefix + text`` for each text, special tokens included; ``workers`` threads do it."""
        if not texts:
            return Tokens(np.empty(0, np.int32), np.empty(0, np.int64))
        size = max(1, min(SLICE, -(-len(texts) // workers)))
        slices = [texts[begin : begin + size] for begin in range(0, len(texts), size)]
        with ThreadPoolExecutor(min(workers, len(slices))) as threads:
            parts = list(threads.map(lambda part: self._tokens([prefix + text for text in part]), slices))
        ids, lengths = zip(*parts, strict=True)
        return Tokens(np.concatenate(ids), np.concatenate(lengths))

    def _tokens(self, texts: list[str]) -> Tokens:
        rows = self._rows(texts)
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        return Tokens(np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths)

    def _rows(self, texts: list[str]) -> list[list[int]]:
        if self._backend is not None:
            return [row.ids for row in self._backend.encode_batch_fast(texts, add_special_tokens=True)]
        rows: list[list[int]] = self.hub(texts, truncation=True, max_length=self.max_length)["input_ids"]
        return rows


def chunks(lengths: Ints, budget: int) -> list[Ints]:
    """Return the texts' indices in chunks of about ``budget`` tokens, longest texts first.

    A chunk ends with the text that fills it, so it exceeds the budget by less than one text. Equal lengths keep
    their order: the same lengths always give the same chunks.
    """
    order = np.argsort(-lengths, kind="stable")
    filled = (np.cumsum(lengths[order]) - lengths[order]) // budget
    return np.split(order, np.flatnonzero(np.diff(filled)) + 1) if len(order) else []
