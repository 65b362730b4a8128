"""One step's batch over all processes, as numbers: who brings what, and who computes it.

Every process builds the same batch from the same numbers, so that only vectors have to travel. Columns (passages)
stand in the order of the rows whatever the number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from graded.retrieval.training.batching import spread
from graded.retrieval.training.masks import Askers, Offered
from graded.retrieval.training.negatives import Counts, Negatives
from graded.retrieval.training.pairs import Pairs, Texts
from graded.retrieval.training.rows import Rows


@dataclass(frozen=True)
class Batch:
    """B rows with D passages; ``query`` [B] and ``passage`` [D] are numbers into the texts.

    ``row`` [D] is the row that brought a passage, ``positive`` and ``target`` [D] what it is to that row. ``parts``
    gives the rows of each process, ``columns`` their passages; ``pairs`` counts the graded pairs, ``counts`` the
    explicit negatives.
    """

    query: np.ndarray
    passage: np.ndarray
    row: np.ndarray
    positive: np.ndarray
    target: np.ndarray
    parts: list[np.ndarray]
    columns: list[np.ndarray]
    pairs: int
    counts: Counts


@dataclass(frozen=True)
class Source:
    """All that batches are drawn from.

    ``negatives`` [queries, n] are explicit negatives as numbers into ``passages`` (or None); ``known`` lists for
    each query the passages that must not be its negatives; ``gain`` maps a grade to a target in [0, 1].
    """

    pairs: Pairs
    passages: Texts
    rows: Rows
    known: list[np.ndarray]
    negatives: Negatives | None
    gain: str
    seed: int

    def batch(self, rows: np.ndarray, epoch: int, parts: int) -> Batch:
        """Return the batch of ``rows`` for ``parts`` processes."""
        query = self.rows.query[rows]
        passages, owners, positives, targets = [], [], [], []
        pairs, counts = 0, Counts()
        for position, row in enumerate(rows):
            drawn = self.rows.draw(int(row), epoch, self.seed)
            own, extra, pairs = self.pairs.passage[drawn], drawn[:0], pairs + len(drawn)
            if self.negatives:
                extra, more = self.negatives.draw(int(query[position]), int(row), epoch, own)
                counts = counts.plus(more)
            passages += [own, extra]
            owners.append(np.full(len(drawn) + len(extra), position))
            positives += [self.pairs.positive[drawn], np.zeros(len(extra), bool)]
            targets += [target(self.pairs.grade[drawn], self.gain), np.zeros(len(extra), np.float32)]
        passage, row = np.concatenate(passages), np.concatenate(owners)
        weight = self.weights(query, passage, row)
        shares = spread(weight, parts)
        return Batch(
            query, passage, row, np.concatenate(positives), np.concatenate(targets), shares,
            [np.flatnonzero(np.isin(row, share)) for share in shares], pairs, counts,
        )  # fmt: skip

    def weights(self, query: np.ndarray, passage: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Return the bytes of text of each row, which stand for its tokens."""
        of_passages = np.bincount(row, self.passages.sizes[passage], len(query))
        return self.pairs.queries.sizes[query] + of_passages

    def texts(self, batch: Batch, part: int) -> tuple[list[str], list[str]]:
        """Return the query and passage texts of one process."""
        queries = [self.pairs.queries[number] for number in batch.query[batch.parts[part]]]
        return queries, [self.passages[number] for number in batch.passage[batch.columns[part]]]

    def keys(self, batch: Batch, part: int, device: torch.device) -> tuple[Askers, Offered]:
        """Return what the masks of one process's rows need, on ``device``."""
        mine = batch.query[batch.parts[part]]
        width = max((len(self.known[number]) for number in mine), default=0)
        known = np.zeros((2, len(mine), width), np.int64)
        for position, number in enumerate(mine):
            passages = self.known[number]
            known[0, position, : len(passages)] = self.passages.ids[passages]
            known[1, position, : len(passages)] = self.passages.keys[passages]
        queries, owners = self.pairs.queries, batch.query[batch.row]
        askers = (batch.parts[part], queries.ids[mine], queries.keys[mine], known[0], known[1])
        offered = (
            batch.row, queries.ids[owners], queries.keys[owners], self.passages.ids[batch.passage],
            self.passages.keys[batch.passage], batch.positive, batch.target,
        )  # fmt: skip
        there = [torch.from_numpy(np.ascontiguousarray(values)).to(device) for values in askers + offered]
        return Askers(*there[:5]), Offered(*there[5:])


def target(grade: np.ndarray, gain: str) -> np.ndarray:
    """Map grades 0 to 3 to targets in [0, 1]: ``linear`` g / 3, ``exponential`` (2^g - 1) / 7."""
    return (grade / 3 if gain == "linear" else (np.exp2(grade) - 1) / 7).astype(np.float32)
