"""What a stage wants of an annotator: the requests, which of them are missing, and how they are to be bought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from graded.errors import ParamError
from graded.llm.keys import Keys, pack
from graded.llm.ledger import Ledger
from graded.llm.request import BATCH, Messages, Model, characters, key
from graded.llm.tokens import Amount, Rates, amount
from graded.params import Section
from graded.records import Outcome

Mode = Literal["online", "batch", "auto"]


class Ask:
    """One request to be; its messages may be given as a function, which is not called where the reply is known."""

    __slots__ = ("_messages", "language")

    def __init__(self, language: str, messages: Messages | Callable[[], Messages]) -> None:
        self.language, self._messages = language, messages

    @property
    def messages(self) -> Messages:
        """What is sent."""
        return self._messages() if callable(self._messages) else self._messages


class Batch(Section):
    """How batches are made and waited for."""

    wait: bool = Field(True, description="false: leave with exit code 4 once they are submitted; run again later")
    poll: float = Field(30.0, gt=0, description="seconds between looks at a batch")
    requests: int | None = Field(None, gt=0, description="requests a batch, at most; null: the endpoint's limit")
    reserve: Literal["bytes", "measured"] = Field(
        "bytes", description="bytes: what a batch costs at most; measured: about, by the ledger's usage"
    )
    at_least: int = Field(2000, ge=0, description="mode auto: missing replies from which on a batch is made")


class Reask(Section):
    """Asking again where a reply was no answer; each time is a request of its own in the ledger."""

    times: int = Field(0, ge=0, le=5, description="how often, at most")
    outcomes: list[Outcome] = Field(
        default=[Outcome.TRUNCATED, Outcome.UNPARSEABLE], description="after which outcomes"
    )
    max_tokens: int | None = Field(None, gt=0, description="tokens of a reply when asked again; null: as before")


class How(NamedTuple):
    """How a stage buys: ``mode`` online (one by one), batch (half the price, within a day) or auto."""

    mode: Mode = "online"
    reask: Reask = Reask()
    batch: Batch = Batch()

    def batched(self, want: Want) -> bool:
        """Is ``want`` bought by batch?

        Raises:
            ParamError: it is to be, and its family has no batch interface.
        """
        family = want.job.model.family
        if self.mode == "batch" and family not in BATCH:
            raise ParamError(
                f"{want.job.stage}.mode: received 'batch', and {want.job.param} is of family {family}, which has no "
                "batch interface; legal: online, auto"
            )
        many = int(want.buy.sum()) >= self.batch.at_least
        return self.mode == "batch" or (self.mode == "auto" and family in BATCH and many)


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
            messages = ask.messages
            keys += key(self.job.model, messages, self.attempt)[: self.keys.dtype.itemsize]
            sizes.append(characters(messages))
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
