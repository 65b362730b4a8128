"""What stages query and grade share: make sure that the replies are in the ledger, then take them out in order.

The result is a function of the asks, the params and the ledger's replies to them. Whether a reply was bought a second
ago, last year or by a team-mate cannot be seen in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graded.errors import MissingError
from graded.llm.job import How, Job, Want
from graded.llm.keys import Keys
from graded.llm.ledger import Ledger, Run, note_run
from graded.llm.procure import ensure
from graded.llm.reply import Reply, from_json
from graded.records import Outcome

#: Outcomes in the order of their codes in the arrays that :func:`annotate` returns.
OUTCOMES = tuple(Outcome)
OK = OUTCOMES.index(Outcome.OK)


def annotate(
    ledger: Ledger, jobs: Sequence[Job], dtype: Any, read: Callable[[Reply], tuple[Any, ...]], how: How
) -> list[NDArray[Any]]:
    """Return for each job the readings of its replies, in the order of its asks.

    Args:
        ledger: where replies are found and kept.
        jobs: all annotators of one stage; nothing is bought before it is clear what all of them miss.
        dtype: a NumPy record type whose first field is the outcome's code (see :data:`OUTCOMES`).
        read: turns a reply into a record of ``dtype``.
        how: one by one or by batch, and when to ask again.

    Raises:
        MissingError, BudgetError: replies are missing and may not be bought; the text says how many and what to do.
    """
    wants = [Want(job, 1) for job in jobs]
    store = ledger.store
    replies, dollars = store.replies, store.dollars
    found = _round(ledger, wants, dtype, read, how)
    rows = asked = sum(len(want.keys) for want in wants)
    again = np.array([OUTCOMES.index(outcome) for outcome in how.reask.outcomes], dtype=np.int8)
    for attempt in range(2, how.reask.times + 2):
        wants = []
        for job, readings in zip(jobs, found, strict=True):
            tokens = {"max_tokens": how.reask.max_tokens} if how.reask.max_tokens else {}
            other = replace(job, model=job.model.model_copy(update=tokens))
            wants.append(Want(other, attempt, np.isin(readings["outcome"], again)))
        for want, readings, newer in zip(wants, found, _round(ledger, wants, dtype, read, how), strict=True):
            readings[want.rows] = newer
        asked += sum(len(want.keys) for want in wants)
    for stage in {job.stage for job in jobs}:
        # what another process bought meanwhile was reused; a batch can bring more than was asked for
        bought = min(store.replies - replies, asked)
        note_run(Run(stage, asked - bought, bought, store.dollars - dollars, rows))
    return found


def _round(
    ledger: Ledger,
    wants: Sequence[Want],
    dtype: Any,
    read: Callable[[Reply], tuple[Any, ...]],
    how: How,
) -> list[NDArray[Any]]:
    for want in wants:
        want.look(ledger)
    ensure(ledger, wants, how)
    return [gather(ledger, want.keys, dtype, read) for want in wants]


def gather(ledger: Ledger, keys: Keys, dtype: Any, read: Callable[[Reply], tuple[Any, ...]]) -> NDArray[Any]:
    """Return the readings of the replies to ``keys``, which are all in the ledger, in order."""
    unique, back = np.unique(keys, return_inverse=True)
    readings = np.zeros(len(unique), dtype=dtype)
    here = np.zeros(len(unique), dtype=bool)
    for position, record in ledger.replies(unique):
        readings[position] = read(from_json(record["reply"]))
        here[position] = True
    if not here.all():
        raise MissingError(
            f"{int((~here).sum())} replies that the ledger names cannot be read; run: graded ledger verify"
        )
    return readings[back]
