"""How many requests at once, and how fast: down where the endpoint says so, up again while it does not.

Additive increase, multiplicative decrease (as in TCP) of the number in flight on 429 and overload; a pause where
Retry-After asks for one; starts spread over the time that the rate-limit headers give for what they leave.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: Longest pause that a header can ask for, in seconds.
LONGEST = 300.0


def seconds(text: str | None) -> float | None:
    """Return a header's duration (``20``, ``1.5s``, ``6m0s``, ``250ms``, a date) in seconds; None where it is none."""
    if not text:
        return None
    try:
        value = float(text)
        return max(value, 0.0) if math.isfinite(value) else None
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        parts = _PART.findall(text)
    return sum(float(value) * _SECONDS[unit] for value, unit in parts) if parts else None


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Return how long the endpoint asks to wait, in seconds; None where it does not say."""
    if not headers:
        return None
    milliseconds = seconds(headers.get("retry-after-ms"))
    wait = milliseconds / 1000 if milliseconds is not None else seconds(headers.get("retry-after"))
    return None if wait is None else min(wait, LONGEST)


def back_off(tries: int, draw: Callable[[], float] = random.random) -> float:
    """Return the jittered wait before try ``tries`` + 1, in seconds: half to all of 0.5, 1, 2 ... 60."""
    return min(0.5 * 2.0 ** min(tries - 1, 10), 60.0) * (0.5 + 0.5 * draw())


class Pace:
    """The pace of one endpoint. ``now`` is a monotonic clock in seconds."""

    def __init__(self, in_flight: int, now: Callable[[], float] = time.monotonic) -> None:
        self.most, self.limit, self.now = float(in_flight), float(in_flight), now
        self.flying = 0
        self._not_before = 0.0
        self._spacing = 0.0
        self._eased = -1.0
        self._tokens = 0.0

    def delay(self) -> float | None:
        """Return 0 where a request may start now, the seconds to wait, or None where one has to end first."""
        if self.flying >= int(self.limit):
            return None
        return max(self._not_before - self.now(), 0.0)

    def start(self) -> None:
        """Count a request that starts."""
        self.flying += 1
        if self._spacing:
            self._not_before = max(self._not_before, self.now()) + self._spacing

    def end(self, why: str, headers: Mapping[str, str] | None, tokens: int = 0) -> None:
        """Count a request that ended; ``why`` as in :class:`graded.llm.client.Answer`, ``tokens`` what it used."""
        self.flying -= 1
        if tokens:
            self._tokens = 0.95 * self._tokens + 0.05 * tokens if self._tokens else float(tokens)
        if why in ("429", "503", "529", "time-out"):
            self._ease(retry_after(headers))
        elif why == "ok":
            self.limit = min(self.limit + 1.0 / max(self.limit, 1.0), self.most)
            self._spread(headers)

    def _ease(self, wait: float | None) -> None:
        """Go down once for all requests that were in flight together, and pause as long as asked."""
        now = self.now()
        if now >= self._eased:
            self.limit = max(self.limit * 0.7, 1.0)
            self._eased = now + 1.0
        if wait is not None:
            self._not_before = max(self._not_before, now + wait)

    def _spread(self, headers: Mapping[str, str] | None) -> None:
        """Space the starts at the speed at which a nearly empty bucket fills: what is gone, over the time to full."""
        self._spacing = 0.0
        if not headers:
            return
        for name, need in (("requests", 1.0), ("tokens", self._tokens)):
            left, most, full_in = (
                seconds(headers.get(f"x-ratelimit-{part}-{name}")) for part in ("remaining", "limit", "reset")
            )
            if left is None or not most or not full_in or left >= 0.1 * most:
                continue
            self._spacing = min(max(self._spacing, need * full_in / (most - left)), LONGEST)
