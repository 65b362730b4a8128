"""What the stand-in has seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counts:
    """Requests by :func:`tests.standin.key_of`.

    ``requests`` arrived (batch lines too), ``billed`` were answered by the model (a torn or unanswered one as well),
    ``delivered`` were written whole to a client still there; ``kinds`` counts responses by fault or status.
    """

    requests: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    most_in_flight: int = 0

    def summary(self) -> dict[str, Any]:
        """Return the totals: requests, keys, keys billed and delivered more than once, kinds, tokens billed."""
        return {
            "requests": self.requests.total(),
            "keys": len(self.requests),
            "billed": self.billed.total(),
            "billed_twice": sum(1 for count in self.billed.values() if count > 1),
            "delivered_twice": sum(1 for count in self.delivered.values() if count > 1),
            "kinds": dict(self.kinds),
            "tokens": dict(self.tokens),
            "most_in_flight": self.most_in_flight,
        }
