"""From missing replies to none: what may be bought, and whether one by one or by batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graded.console import say
from graded.errors import BudgetError, DataError, MissingError, ParamError, many
from graded.llm import prices, prompts
from graded.llm.job import How, Want
from graded.llm.keys import KeySet
from graded.llm.ledger import Ledger
from graded.llm.state import State
from graded.llm.tokens import Amount, Rates


def cap() -> float:
    """Return GRADED_BUDGET_USD, 0 where it is not set.

    Raises:
        ParamError: it is no number from 0 up.
    """
    text = os.environ.get("GRADED_BUDGET_USD", "").strip()
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ParamError(f"GRADED_BUDGET_USD: received {text!r}; expected dollars as a number, such as 500 or 12.50")
    return value


def ensure(ledger: Ledger, wants: Sequence[Want], how: How) -> None:
    """Return once no reply is missing: at once, or after buying what the budget allows.

    Raises:
        MissingError: replies are missing, and the shared ledger is not pulled or the annotator has no endpoint.
        BudgetError: replies are missing and may not be bought.
    """
    left = ledger.state.pending.end_answered(ledger.state.known)
    if left:
        say(f"{many(left, 'batch', 'are')} under way that others have answered; what that cost: graded batches")
    missing = [want for want in wants if want.buy.any()]
    if missing:
        ledger.store.check_snapshot()
        check_recorded(missing)
        procure(ledger, missing, how)


def procure(ledger: Ledger, missing: list[Want], how: How) -> None:
    """Buy what is missing, one by one or by batch, and take in batches of an earlier run, until nothing is."""
    if ledger.state.pending.folders():
        from graded.llm.batch_drop import drop_planned

        drop_planned(ledger, missing, how)
    while how.mode == "online" and not ledger.state.pending.folders():
        allow(ledger, missing, how)
        online(ledger, missing)
        missing = _without(missing, ledger.state.known)
        if not missing:
            return
    from graded.llm.batch import Batches

    with Batches(ledger, missing, how.batch, cap()) as batches:
        said = False
        while True:
            batches.collect()
            missing = _without(missing, ledger.state.known)
            if not missing:
                return
            fresh = _without(missing, ledger.state.pending.keys)
            if fresh:
                allow(ledger, fresh, how, quiet=said)
                said = True
            by_batch = [want for want in fresh if how.batched(want)]
            one_by_one = [want for want in fresh if not how.batched(want)]
            submitted = bool(by_batch) and batches.submit(by_batch)
            if one_by_one:
                online(ledger, one_by_one)
            elif not submitted:
                batches.wait()


def online(ledger: Ledger, wants: Sequence[Want]) -> None:
    """Buy ``wants`` one by one, but for what is in a batch by then; errors as :func:`graded.llm.buy.buy`."""
    from graded.llm.buy import buy

    buy(ledger, wants, cap())


def _without(wants: Sequence[Want], keys: KeySet) -> list[Want]:
    """Return ``wants`` without what ``keys`` holds; a want with nothing left to buy is dropped."""
    fewer = [replace(want, buy=want.buy & ~keys.mask(want.keys)) for want in wants]
    return [want for want in fewer if want.buy.any()]


def check_recorded(wants: Sequence[Want]) -> None:
    """Raise a MissingError where replies of an annotator without an endpoint are missing."""
    for want in wants:
        if want.job.model.family == "recorded":
            raise MissingError(
                f"{int(want.buy.sum()):,} replies of {want.job.model.model} ({want.job.param}) are not in the ledger, "
                "and it is recorded only: nobody can be asked; 'graded ledger pull' brings recorded replies, "
                f"{want.job.param}.family and .base_url in params.yaml name an endpoint"
            )


def allow(ledger: Ledger, wants: Sequence[Want], how: How, *, quiet: bool = False) -> None:
    """Return where ``wants`` may be bought, and say what is about to be, unless ``quiet``: it is part of what was said.

    Raises:
        BudgetError: there is no budget; says how many replies are missing and about what they cost.
        ParamError: a model has no price.
        DataError: a batch under way is damaged, so that nobody knows what it holds.
    """
    table = prices.load()
    rates = Rates(ledger, prompts.frames())
    count, dollars = 0, 0.0
    said = []
    for want in wants:
        price = table.of(want.job.model)
        amounts = want.amounts(rates, want.buy)
        batched = how.batched(want)
        each = sum(one.dollars(price) for one in amounts.values()) * (table.batch if batched else 1.0)
        count, dollars = count + int(want.buy.sum()), dollars + each
        said.append(_bought(want, amounts, f"${each:,.2f}{' by batch' * batched}", rates))
    for why in ledger.state.pending.damaged.values():
        raise DataError(f"{count:,} replies are missing, and nothing is bought: {why}")
    damage = ledger.store.damage()
    if damage:
        team = all(path.parent == ledger.store.snapshot for path in damage)
        mend = "restore them: dvc checkout --force data/ledger.dvc" if team else "run: graded ledger verify --repair"
        raise BudgetError(
            f"{count:,} replies are missing while {len(damage)} files of the ledger are damaged ({damage[0]}); {mend}"
        )
    if cap() <= 0:
        raise BudgetError(
            f"{count:,} replies are missing and would cost about ${dollars:,.2f}; "
            "get the team's: graded ledger pull; or allow buying: "
            f"GRADED_BUDGET_USD={enough(ledger.state, dollars):.2f} dvc repro"
        )
    room = ledger.state.room(cap())
    if dollars > room:
        said.append(f"GRADED_BUDGET_USD leaves ${max(room, 0.0):,.2f} of that: buying stops there")
    for text in [] if quiet else said:
        say(text)


def enough(state: State, dollars: float) -> float:
    """Return a budget under which about ``dollars`` more can be bought, whatever was spent before."""
    return max(state.committed + 1.25 * dollars, 0.01)


def _bought(want: Want, amounts: dict[str, Amount], dollars: str, rates: Rates) -> str:
    """Return what is about to be bought of one annotator, one line of less than 100 columns for six languages."""
    model, stage = want.job.model, want.job.stage
    parts = [f"{code} {one.requests:,}" for code, one in amounts.items() if one.requests]
    more = f", and {len(parts) - 6} languages" if len(parts) > 6 else ""
    text = f"{stage} {model.model[:30]}: to buy {', '.join(parts[:6])}{more}, about {dollars}"
    known = rates.replies(stage, model.family, model.model)
    if known and want.attempt == 1 and int(want.buy.sum()) == len(np.unique(want.keys)):
        text += f"\n{stage} {model.model[:30]}: {stale(known)}"
    return text


def stale(known: int) -> str:
    """Say that nothing is reused of the ``known`` replies of a model."""
    return f"none of its {known:,} paid replies fits: prompt, params or texts have changed"
