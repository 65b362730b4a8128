"""Which passages of the whole batch a query may take as negatives.

Grading a query's top passages puts several of its pairs into one batch, and passages recur across queries, so a
passage that another query brought can be relevant to this one. Such false negatives are masked by query id, passage
id and text hash, after the gather over processes. Ids are compared within a language, unless the corpus is parallel
(``train.parallel_ids``): there the translation of a positive is no negative either.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graded.retrieval.training.objectives import Masks


class Askers(NamedTuple):
    """The queries of this process, b of them; keys are 64-bit hashes.

    ``known`` and ``known_text`` [b, K] hold the ids and texts of passages that must not be this query's negatives
    (0 where a query has fewer than K).
    """

    row: Tensor
    query: Tensor
    query_text: Tensor
    known: Tensor
    known_text: Tensor


class Offered(NamedTuple):
    """The passages of the whole batch, D of them, all [D]: whose they are (row, keys of that query), and what.

    ``positive`` says that the row brought the passage as a positive; ``target`` is its graded target in [0, 1].
    """

    row: Tensor
    query: Tensor
    query_text: Tensor
    passage: Tensor
    passage_text: Tensor
    positive: Tensor
    target: Tensor


def build(askers: Askers, offered: Offered, *, mask: bool) -> tuple[Tensor, Masks]:
    """Return the targets [b, D] and the masks of every query of this process against the whole batch.

    A row's own passages are never masked. ``mask=False`` lets every other passage be a negative.
    """
    own = askers.row[:, None] == offered.row[None, :]
    positive = own & offered.positive[None, :]
    targets = torch.where(own, offered.target[None, :], torch.zeros_like(offered.target[None, :]))
    if not mask:
        return targets, Masks(positive, torch.ones_like(own))
    return targets, Masks(positive, own | ~relevant(askers, offered))


def relevant(askers: Askers, offered: Offered) -> Tensor:
    """Return where a passage of the batch is known to be relevant to a query [b, D], whoever brought it."""
    same = askers.query[:, None] == offered.query[None, :]
    same |= askers.query_text[:, None] == offered.query_text[None, :]
    same &= offered.positive[None, :]
    for column in range(askers.known.shape[1]):
        same |= askers.known[:, column, None] == offered.passage[None, :]
        same |= askers.known_text[:, column, None] == offered.passage_text[None, :]
    return same
