"""What stages query and grade share: make sure that the replies are in the ledger, then take them out in order.

The result is a function of the asks, the params and the ledger's replies to them. Whether a reply was bought a second
ago, last year or by a team-mate cannot be seen in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from graded.errors import BudgetError, MissingError, ParamError
from graded.llm import prices
from graded.llm.ledger import Ledger, Run, note_run
from graded.llm.reply import Reply, from_json
from graded.llm.request import Messages, Model, characters, key
from graded.llm.state import Keys, pack
from graded.llm.tokens import Amount, Rates, amount
from graded.params import Section
from graded.records import Outcome

#: Outcomes in the order of their codes in the arrays that :func:`annotate` returns.
OUTCOMES = tuple(Outcome)
OK = OUTCOMES.index(Outcome.OK)


class Ask(NamedTuple):
    """One request to be."""

    language: str
    messages: Messages


class Reask(Section):
    """Asking again where a reply was no answer; each time is a request of its own in the ledger."""

    times: int = Field(0, ge=0, le=5, description="how often, at most")
    outcomes: list[Outcome] = Field(
        default=[Outcome.TRUNCATED, Outcome.UNPARSEABLE], description="after which outcomes"
    )
    max_tokens: int | None = Field(None, gt=0, description="tokens of a reply when asked again; null: as before")


@dataclass(frozen=True)
class Job:
    """All that one annotator is asked by one stage.

    Attributes:
        stage: query or grade.
        param: where the model stands in params.yaml, for messages.
        model: whom to ask, and how.
        asks: yields the requests, the same ones in the same order each time.
        frame: characters of the instructions in each request.
    """

    stage: str
    param: str
    model: Model
    asks: Callable[[], Iterator[Ask]]
    frame: int = 0


@dataclass
class Want:
    """The requests of one job and one attempt; ``rows`` are their places among the job's asks."""

    job: Job
    attempt: int
    rows: NDArray[np.bool_] | None = None
    keys: Keys = field(default_factory=lambda: pack([]))
    sizes: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    languages: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    codes: list[str] = field(default_factory=list)
    buy: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))

    def asks(self) -> Iterator[Ask]:
        """Yield the asks of ``rows``."""
        for index, ask in enumerate(self.job.asks()):
            if self.rows is None or self.rows[index]:
                yield ask

    def look(self, ledger: Ledger) -> None:
        """Compute the keys, and which are to be bought: not in the ledger, each once."""
        keys, sizes, languages = bytearray(), [], []
        place: dict[str, int] = {}
        for ask in self.asks():
            keys += key(self.job.model, ask.messages, self.attempt)[: self.keys.dtype.itemsize]
            sizes.append(characters(ask.messages))
            languages.append(place.setdefault(ask.language, len(place)))
        self.keys = np.frombuffer(bytes(keys), dtype=self.keys.dtype)
        self.sizes, self.languages = np.array(sizes, np.int32), np.array(languages, np.int16)
        self.codes = list(place)
        first = np.zeros(len(self.keys), dtype=bool)
        first[np.unique(self.keys, return_index=True)[1]] = True
        self.buy = ledger.missing(self.keys) & first

    def amounts(self, rates: Rates, chosen: NDArray[np.bool_]) -> dict[str, Amount]:
        """Return what the ``chosen`` requests come to, by language."""
        found = {}
        for code, language in enumerate(self.codes):
            here = chosen & (self.languages == code)
            rate = rates.of(self.job.stage, self.job.model.family, self.job.model.model, language)
            found[language] = amount(rate, int(here.sum()), int(self.sizes[here].sum()), self.job.frame)
        return found


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


def annotate(
    ledger: Ledger, jobs: Sequence[Job], dtype: Any, read: Callable[[Reply], tuple[Any, ...]], reask: Reask
) -> list[NDArray[Any]]:
    """Return for each job the readings of its replies, in the order of its asks.

    Args:
        ledger: where replies are found and kept.
        jobs: all annotators of one stage; nothing is bought before it is clear what all of them miss.
        dtype: a NumPy record type whose first field is the outcome's code (see :data:`OUTCOMES`).
        read: turns a reply into a record of ``dtype``.
        reask: when to ask again.

    Raises:
        MissingError, BudgetError: replies are missing and may not be bought; the text says how many and what to do.
    """
    wants = [Want(job, 1) for job in jobs]
    before, counts = ledger.state.paid, [0, 0]
    found = _round(ledger, wants, dtype, read, counts)
    again = np.array([OUTCOMES.index(outcome) for outcome in reask.outcomes], dtype=np.int8)
    for attempt in range(2, reask.times + 2):
        wants = []
        for job, readings in zip(jobs, found, strict=True):
            tokens = {"max_tokens": reask.max_tokens} if reask.max_tokens else {}
            other = replace(job, model=job.model.model_copy(update=tokens))
            wants.append(Want(other, attempt, np.isin(readings["outcome"], again)))
        for want, readings, newer in zip(wants, found, _round(ledger, wants, dtype, read, counts), strict=True):
            readings[want.rows] = newer
    for stage in {job.stage for job in jobs}:
        note_run(ledger.store, Run(stage, counts[0], counts[1], ledger.state.paid - before))
    return found


def _round(
    ledger: Ledger, wants: Sequence[Want], dtype: Any, read: Callable[[Reply], tuple[Any, ...]], counts: list[int]
) -> list[NDArray[Any]]:
    for want in wants:
        want.look(ledger)
        bought = int(want.buy.sum())
        counts[0] += len(want.keys) - bought
        counts[1] += bought
    ensure(ledger, wants)
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


def ensure(ledger: Ledger, wants: Sequence[Want]) -> None:
    """Return once no reply is missing: at once, or after buying what the budget allows.

    Raises:
        MissingError: replies are missing, and the shared ledger is not pulled or the annotator has no endpoint.
        BudgetError: replies are missing and may not be bought.
    """
    missing = [want for want in wants if want.buy.any()]
    if missing:
        ledger.store.check_snapshot()
        check_recorded(missing)
        allow(ledger, missing)
        from graded.llm.buy import buy

        buy(ledger, missing, cap())


def check_recorded(wants: Sequence[Want]) -> None:
    """Raise a MissingError where replies of an annotator without an endpoint are missing."""
    for want in wants:
        if want.job.model.family == "recorded":
            raise MissingError(
                f"{int(want.buy.sum()):,} replies of {want.job.model.model} ({want.job.param}) are not in the ledger, "
                "and it is recorded only: nobody can be asked; 'dvc pull data/ledger.dvc' brings recorded replies, "
                f"{want.job.param}.family and .base_url in params.yaml name an endpoint"
            )


def allow(ledger: Ledger, wants: Sequence[Want]) -> None:
    """Return where ``wants`` may be bought.

    Raises:
        BudgetError: there is no budget; says how many replies are missing and about what they cost.
        ParamError: a model has no price.
    """
    table = prices.load()
    rates = Rates(ledger)
    count, dollars = 0, 0.0
    for want in wants:
        price = table.of(want.job.model)
        count += int(want.buy.sum())
        dollars += sum(one.dollars(price) for one in want.amounts(rates, want.buy).values())
    damage = ledger.store.damage()
    if damage:
        raise BudgetError(
            f"{count:,} replies are missing while {len(damage)} files of the ledger are damaged ({damage[0]}); "
            "restore them (dvc checkout --force data/ledger.dvc) or delete them to buy anew; see: graded ledger verify"
        )
    if cap() <= 0:
        raise BudgetError(
            f"{count:,} replies are missing and would cost about ${dollars:,.2f}; "
            "get the team's: dvc pull data/ledger.dvc; or allow buying: "
            f"GRADED_BUDGET_USD={max(ledger.state.paid + ledger.state.lost + 1.25 * dollars, 0.01):.2f} dvc repro"
        )
