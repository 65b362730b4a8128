"""Tokens and dollars before a request is sent: from what the ledger has measured, else from rates per language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from graded.llm.ledger import Ledger
from graded.llm.lines import decode, reply_key
from graded.llm.prices import Price
from graded.llm.reply import Usage

#: Prompt tokens a character where nothing was measured yet: rough, for byte-pair vocabularies of about 200,000.
RATES = {
    "en": 0.23, "es": 0.25, "fr": 0.26, "de": 0.27, "id": 0.26, "sw": 0.33, "fi": 0.33, "ru": 0.30, "ar": 0.36,
    "fa": 0.38, "hi": 0.35, "bn": 0.40, "te": 0.45, "th": 0.45, "ko": 0.60, "ja": 0.75, "zh": 0.80, "yo": 0.45,
}  # fmt: skip
OTHER = 0.45
#: Completion tokens of a grade where nothing was measured yet (`[2]` is three), and characters of a query that is not
#: written yet.
GRADE, QUERY = 3.0, 45


class Rate(NamedTuple):
    """How many tokens a request has: ``prompt`` and ``cached`` a character, ``completion`` a reply.

    ``measured``: the rate is one of whole requests, instructions and all; else ``prompt`` is that of texts in the
    language, and ``frame`` that of the instructions.
    """

    prompt: float
    cached: float
    completion: float
    measured: bool
    frame: float = 0.0


class Rates:
    """Rates of each (stage, family, model, language), from the ledger's own usage where it has some.

    Args:
        ledger: where usage is read from.
        frames: characters of each stage's instructions, where known: what one stage has measured then also serves
            another one, whose requests have more or fewer instructions around the texts.
    """

    def __init__(self, ledger: Ledger | None = None, frames: Mapping[str, int] | None = None) -> None:
        self._sums: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0, 0.0])
        self._frames = frames or {}
        for line in ledger.lines() if ledger else ():
            if reply_key(line) is not None:
                self.add(decode(line))

    def add(self, record: dict[str, Any]) -> None:
        """Count one reply's usage."""
        usage = record["reply"].get("usage")
        if not usage or not record.get("in"):
            return
        name = (record["stage"], record["family"], record["model"], record["lang"])
        for sums in (self._sums[name], self._sums[(*name[:3], "")]):
            for index, value in enumerate((record["in"], *usage, 1)):
                sums[index] += value

    def of(self, stage: str, family: str, model: str, language: str) -> Rate:
        """Return the rate of one language: its own, or another stage's, or the language's default."""
        chars, prompt, completion, cached, count = self._sums.get((stage, family, model, language), [0.0] * 5)
        if count:
            return Rate(prompt / chars, cached / chars, completion / count, True)
        _, _, completion, _, count = self._sums.get((stage, family, model, ""), [0.0] * 5)
        default = RATES.get(language, OTHER)
        written = completion / count if count else QUERY * default if stage == "query" else GRADE
        frame, text = self._elsewhere(family, model, language) or (RATES["en"], default)
        return Rate(text, 0.0, written, False, frame)

    def replies(self, stage: str, family: str, model: str, language: str = "") -> int:
        """Return of how many replies the ledger knows what they took, whatever they were asked; "": all languages."""
        return int(self._sums.get((stage, family, model, language), [0.0] * 5)[4])

    def _elsewhere(self, family: str, model: str, language: str) -> tuple[float, float] | None:
        """Return the tokens a character of English instructions and of texts, from a stage that has measured them."""
        for stage, frame in self._frames.items():
            chars, prompt, _, _, count = self._sums.get((stage, family, model, language), [0.0] * 5)
            if chars <= frame * count:
                continue
            letters, tokens, *_ = self._sums.get((stage, family, model, "en"), [0.0] * 5)
            english = tokens / letters if letters else RATES["en"]
            return english, max((prompt - english * frame * count) / (chars - frame * count), 0.0)
        return None


class Amount(NamedTuple):
    """What some requests come to."""

    requests: int
    prompt: int
    cached: int
    completion: int

    def dollars(self, price: Price) -> float:
        """Return the dollars at ``price``, asked one by one."""
        return price.dollars(Usage(self.prompt, self.completion, self.cached))


def amount(rate: Rate, requests: int, characters: int, frame: int) -> Amount:
    """Return the tokens of ``requests`` that have ``characters`` in all, ``frame`` of each the English instructions."""
    if rate.measured:
        prompt = rate.prompt * characters
    else:
        fixed = min(frame * requests, characters)
        prompt = rate.frame * fixed + rate.prompt * (characters - fixed)
    return Amount(requests, round(prompt), round(rate.cached * characters), round(rate.completion * requests))
