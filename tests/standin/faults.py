"""What the stand-in gets wrong, and when: the same for the same seed, whatever the order of the requests.

TRANSIENT faults depend on the key and the attempt, so that asking again helps; TERMINAL ones on the key alone, so
that a request has one final outcome in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

#: rate (429 with Retry-After), overloaded (503), error (500), timeout (no answer), torn (half an answer, then the
#: connection closes), json (200 with a body that is no JSON)
TRANSIENT = ("rate", "overloaded", "error", "timeout", "torn", "json")
#: filtered (HTTP 400 content_filter), filtered_reply (finish_reason content_filter), refused (message.refusal),
#: truncated (finish_reason length), nonsense (a text without a grade), invalid (HTTP 400 of another kind)
TERMINAL = ("filtered", "filtered_reply", "refused", "truncated", "nonsense", "invalid")


@dataclass(frozen=True)
class Faults:
    """``rates``: share of requests for each fault, from 0 to 1; ``seed`` picks which."""

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.rates) - {*TRANSIENT, *TERMINAL}
        if unknown:
            raise ValueError(f"no such fault: {sorted(unknown)}; legal: {', '.join(TRANSIENT + TERMINAL)}")

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Faults:
        """Read ``rate=0.02,torn=0.01``."""
        pairs = (item.partition("=") for item in text.split(",") if item)
        return cls({name.strip(): float(value) for name, _, value in pairs}, seed)

    def transient(self, key: str, attempt: int) -> str | None:
        """Return the fault of the ``attempt``-th request (from 1) with this key."""
        return self._draw(TRANSIENT, f"{key}:{attempt}")

    def terminal(self, key: str) -> str | None:
        """Return the outcome that this key always has, None for a good reply."""
        return self._draw(TERMINAL, key)

    def _draw(self, names: tuple[str, ...], text: str) -> str | None:
        if not self.rates:
            return None
        at = int.from_bytes(blake2b(f"{self.seed}:{text}".encode(), digest_size=8).digest(), "big") / 2**64
        for name in names:
            at -= self.rates.get(name, 0.0)
            if at < 0:
                return name
        return None
