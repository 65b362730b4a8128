"""What would be bought: requests, cached and new, tokens and dollars, per annotator and language, before it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graded.llm import prompts
from graded.llm.job import Job, Want
from graded.llm.ledger import Ledger
from graded.llm.prices import Price, Prices
from graded.llm.request import BATCH
from graded.llm.tokens import Amount, Rates, amount


class Line(NamedTuple):
    """One annotator and language; ``rough`` where the requests themselves are not known yet.

    ``under_way`` are requests in batches that were submitted: they will be paid and are not bought again. ``known`` are
    the ledger's paid replies of this stage, model and language, whatever they were asked.
    """

    stage: str
    model: str
    language: str
    requests: int
    cached: int
    under_way: int
    new: int
    prompt: int
    completion: int
    online: float
    batch: float
    rough: bool
    known: int


class Rough(NamedTuple):
    """Requests that cannot be made yet: how many a language, and characters in all."""

    job: Job
    requests: dict[str, int]
    characters: dict[str, int]


def estimate(ledger: Ledger, jobs: Sequence[Job | Rough], table: Prices) -> Iterator[Line]:
    """Yield a line for each job and language.

    Raises:
        ParamError: a model has no price. One that is recorded only has none and costs nothing.
    """
    rates = Rates(ledger, prompts.frames())
    for one in jobs:
        job = one.job if isinstance(one, Rough) else one
        price = FREE if job.model.family == "recorded" else table.of(job.model)
        if isinstance(one, Rough):
            for language, count in one.requests.items():
                rate = rates.of(job.stage, job.model.family, job.model.model, language)
                new = amount(rate, count, one.characters[language], job.frame)
                yield _line(job, language, count, 0, new, price, table.batch, rates, rough=True)
            continue
        want = Want(job, 1)
        want.look(ledger)
        batched = want.buy & ledger.state.pending.keys.mask(want.keys)
        for language, new in want.amounts(rates, want.buy & ~batched).items():
            here = want.languages == want.codes.index(language)
            counts = int(here.sum()), int((here & batched).sum())
            yield _line(job, language, *counts, new, price, table.batch, rates, rough=False)


FREE = Price(input=0.0, output=0.0, source="recorded")


def _line(
    job: Job, language: str, requests: int, under_way: int, new: Amount, price: Price, batch: float, rates: Rates,
    *, rough: bool,
) -> Line:  # fmt: skip
    dollars = new.dollars(price)
    factor = batch if job.model.family in BATCH else 1.0
    return Line(
        job.stage, job.model.model, language, requests, requests - new.requests - under_way, under_way, new.requests,
        new.prompt, new.completion, dollars, dollars * factor, rough,
        rates.replies(job.stage, job.model.family, job.model.model, language),
    )  # fmt: skip
