"""What a stage's process shares: errors as one line, progress on a terminal and in a log.

A stage ends its file with ``if __name__ == "__main__": run(main)``.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Self, TextIO

from graded.errors import GradedError, ServiceError
from graded.formats.atomic import raise_disk
from graded.formats.redact import redact


def run(main: Callable[[], None]) -> None:
    """Call ``main``; print a GradedError as one line on stderr and exit with its code, 130 on Ctrl-C.

    So is a disk that is full or may not be written. Anything else is a bug and keeps its traceback; secrets are taken
    out of both.
    """
    try:
        main()
    except GradedError as error:
        print(f"graded: {redact(str(error))}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("graded: interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - a bug (shown whole, and it ends the process), or the disk
        try:
            raise_disk(Path(str(getattr(error, "filename", None) or Path.cwd())), error)
        except ServiceError as full:
            print(f"graded: {redact(str(full))}", file=sys.stderr)
            raise SystemExit(full.exit_code) from None
        print(redact(traceback.format_exc()), file=sys.stderr, end="")
        raise SystemExit(1) from None


def say(text: str) -> None:
    """Print one line about what was done, at once, without secrets."""
    print(redact(text), flush=True)


class Progress:
    """A count that grows: a bar with rate and ETA on a terminal, a plain line every ``every`` seconds elsewhere.

    ``unit`` names what is counted (``passages``); ``extra`` of :meth:`update` is shown behind the rate.
    """

    def __init__(self, label: str, total: int, unit: str, *, every: float = 10.0, stream: TextIO | None = None) -> None:
        self.label, self.total, self.unit, self.every = label, total, unit, every
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.done = 0
        self.extra = ""
        self._said: tuple[int, str] | None = None
        self.start = self.shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self._draw()
            self.stream.write("\n")
        elif self.done and time.monotonic() - self.start > self.every and self._said != (self.done, self.extra):
            self.stream.write(self._line() + "\n")
        self.stream.flush()

    def update(self, count: int = 1, extra: str | None = None) -> None:
        """Count ``count`` more; redraw at most ten times a second (terminal) or once in ``every`` seconds."""
        self.done += count
        if extra is not None:
            self.extra = extra
        now = time.monotonic()
        if now - self.shown >= (0.1 if self.live else self.every):
            self.shown = now
            if self.live:
                self._draw()
            else:
                self._said = (self.done, self.extra)
                self.stream.write(self._line() + "\n")
                self.stream.flush()

    def tell(self, text: str) -> None:
        """Print a line of its own; a bar is drawn again below it."""
        self.stream.write(("\r\x1b[K" if self.live else "") + redact(text) + "\n")
        self.stream.flush()

    def _line(self) -> str:
        spent = max(time.monotonic() - self.start, 1e-9)
        rate = self.done / spent
        left = clock((self.total - self.done) / rate) if rate > 0 else "unknown"
        text = f"{self.label} {self.done:,}/{self.total:,} {self.unit}, {rate:,.1f}/s, ETA {left}"
        return f"{text}, {redact(self.extra)}" if self.extra else text

    def _draw(self) -> None:
        width = 20
        filled = int(width * min(self.done / self.total, 1.0)) if self.total else width
        text = f"{'━' * filled}{'╌' * (width - filled)} {self._line()}"
        columns = os.get_terminal_size(self.stream.fileno()).columns or 80  # a longer line would not be drawn over
        self.stream.write("\r\x1b[K" + (text if len(text) < columns else text[: columns - 2] + "…"))
        self.stream.flush()


def clock(seconds: float) -> str:
    """Return ``1:02:03`` or ``2:03``."""
    whole = int(max(seconds, 0.0))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
