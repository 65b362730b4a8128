"""A raw reply read: the query or the grade it holds, or the outcome that says why it holds none.

The raw reply is what the ledger keeps; everything here is derived, so a better reader costs nothing. A grade is read
from the reply alone: neither query nor passage is an argument.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from graded.llm.reply import Reply, TokenTop
from graded.records import Outcome

GRADES = (0, 1, 2, 3)

#: Longest query that is taken for one, in characters.
LONGEST = 400


class GradeReading(NamedTuple):
    """One reply of a judge.

    ``grade`` is None unless ``outcome`` is OK. ``expected`` is the mean of 0 to 3 under the reply's own
    probabilities and ``outside`` the probability mass on anything else, both None without logprobs.
    """

    outcome: Outcome
    grade: int | None
    expected: float | None
    outside: float | None


_THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_BRACKETED = re.compile(r"\[\s*([-+]?\d+(?:[.,]\d+)?)\s*\]")
_BARE = re.compile(r"^[\s*_`\"'(]*(\d)[\s*_`\"').]*$")
_LABEL = re.compile(r"^(?:search\s+)?query\s*:\s*", re.IGNORECASE)
_QUOTES = ('""', "''", "``", "“”", "„“", "””", "«»", "「」", "『』")
_APOLOGY = re.compile(
    r"^(?:i['’]m sorry|i am sorry|sorry|i apologi[sz]e|as an ai\b"
    r"|i (?:can['’]?t|cannot|won['’]t) (?:help|assist|comply|provide|fulfill?|create|write|generate|do)"
    r"|i(?: am|['’]m) (?:unable|not able) to"
    r"|(?:pahoittelen|valitettavasti en|olen pahoillani)|(?:lo siento|lamento)|(?:извините|к сожалению, я)"
    r"|(?:آسف|عذر[اً]+)|(?:申し訳|すみません|恐れ入りますが))",
    re.IGNORECASE,
)


def read_query(reply: Reply) -> tuple[Outcome, str | None]:
    """Return the outcome and, where it is OK, the query: one line, without label and quotation marks.

    A reply of several lines, of none, or of more than :data:`LONGEST` characters is UNPARSEABLE.
    """
    stopped = _stopped(reply)
    if stopped is not None:
        return stopped, None
    if reply.finish_reason == "length":
        return Outcome.TRUNCATED, None
    text = _answer(reply)
    if _APOLOGY.match(text):
        return Outcome.REFUSED, None
    query = _unquoted(_LABEL.sub("", _unquoted(text)))
    if not query or len(query.splitlines()) > 1 or len(query) > LONGEST:
        return Outcome.UNPARSEABLE, None
    return Outcome.OK, query


def read_grade(reply: Reply) -> GradeReading:
    """Return what the judge said.

    The grade is the one bracketed number of the reply (several equal ones count as one), or the reply is that
    digit alone. Two different bracketed numbers, or one that is not 0, 1, 2 or 3, are UNPARSEABLE: nothing is
    clipped or guessed. A reply cut off after its grade, where nothing but the grade stands, is still OK.
    """
    stopped = _stopped(reply)
    if stopped is not None:
        return GradeReading(stopped, None, None, None)
    text = _answer(reply)
    found = _BRACKETED.findall(text)
    bare = _BARE.match(text)
    if reply.finish_reason == "length" and not (bare or _BRACKETED.fullmatch(text)):
        return GradeReading(Outcome.TRUNCATED, None, None, None)
    if not found and bare:
        found = [bare[1]]
    grades = {_digit(value) for value in found}
    grade = grades.pop() if len(grades) == 1 else None
    if grade is None:
        refused = not found and _APOLOGY.match(text)
        return GradeReading(Outcome.REFUSED if refused else Outcome.UNPARSEABLE, None, None, None)
    expected, outside = expected_grade(reply, grade)
    return GradeReading(Outcome.OK, grade, expected, outside)


def expected_grade(reply: Reply, grade: int) -> tuple[float | None, float | None]:
    """Return the mean of 0 to 3 under the probabilities at the grade's own position, and the mass on all else.

    Alternatives that differ only in white space and brackets (``3``, `` 3``, ``3]``) are added up. Tokens beyond the
    endpoint's top list count as outside. The expected grade is the best single rating of arXiv 2509.24678.
    (None, None) where the reply has no logprobs, or none for a token that is the grade.
    """
    position = _position(reply.logprobs or (), grade)
    if position is None:
        return None, None
    mass = [0.0] * len(GRADES)
    for token, logprob in position.top:
        digit = _digit(token)
        if digit is not None and math.isfinite(logprob):
            mass[digit] += math.exp(min(logprob, 0.0))
    inside = sum(mass)
    if inside <= 0.0:
        return None, None
    expected = sum(value * share for value, share in zip(GRADES, mass, strict=True)) / inside
    return expected, max(0.0, 1.0 - inside)


def _position(positions: Sequence[TokenTop], grade: int) -> TokenTop | None:
    """Return the position that holds the grade: the first bracketed digit after any thoughts, else the bare digit."""
    text = "".join(position.token for position in positions)
    thoughts = _THINKING.match(text)
    start = thoughts.end() if thoughts else 0
    found = _BRACKETED.search(text, start)
    at = 0
    for position in positions:
        at += len(position.token)
        if at > (found.start(1) if found else start) and (found or _digit(position.token) == grade):
            return position if _digit(position.token) == grade else None
    return None


def _digit(token: str) -> int | None:
    """Return 0 to 3 where ``token`` is that digit, in any script, with nothing but brackets and white space around."""
    bare = token.strip(" \n\t[]*▁Ġ")
    return int(bare) if len(bare) == 1 and bare.isdecimal() and int(bare) in GRADES else None


def _stopped(reply: Reply) -> Outcome | None:
    """Return what kept the reply from being an answer at all."""
    if reply.filtered or reply.finish_reason == "content_filter":
        return Outcome.FILTERED
    return Outcome.REFUSED if reply.refusal else None


def _answer(reply: Reply) -> str:
    """Return the reply's text without a leading block of thoughts, which some servers leave in."""
    return _THINKING.sub("", reply.text or "").strip()


def _unquoted(text: str) -> str:
    text = text.strip()
    for left, right in map(tuple, _QUOTES):
        if len(text) > 1 and text.startswith(left) and text.endswith(right):
            inner = text[1:-1]
            if left not in inner and right not in inner:
                return inner.strip()
    return text
