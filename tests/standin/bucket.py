"""A limit on requests a second, and the headers that show it."""

from __future__ import annotations

import time


class Bucket:
    """A token bucket that starts full and holds one second's requests; ``rate`` None is no limit.

    Args:
        rate: requests a second.
        retry_after: seconds that a refusal asks for.
    """

    def __init__(self, rate: float | None, retry_after: float) -> None:
        self.rate, self.retry_after = rate, retry_after
        self._left, self._filled = rate or 0.0, time.monotonic()

    def admits(self) -> bool:
        """Take a request's token, or say that there is none."""
        if self.rate is None:
            return True
        now = time.monotonic()
        self._left = min(self._left + (now - self._filled) * self.rate, self.rate)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def headers(self) -> dict[str, str]:
        """Return what the bucket holds, what is left of that, and when it is full again, in the API's headers."""
        if self.rate is None:
            return {}
        return {
            "x-ratelimit-limit-requests": str(int(self.rate)),
            "x-ratelimit-remaining-requests": str(int(max(self._left, 0.0))),
            "x-ratelimit-reset-requests": f"{max(0.0, 1 - self._left / self.rate):.3f}s",
        }

    def wait(self) -> dict[str, str]:
        """Return what a refusal asks for, in headers."""
        return {"retry-after": f"{self.retry_after:g}", "retry-after-ms": f"{self.retry_after * 1000:.0f}"}
