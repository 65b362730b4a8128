"""Progress as its reader sees it: a bar that stays on its line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from graded.console import Progress

EXTRA = "$1,234.56 of $5,000.00; 429: 12,345, time-out: 678, torn connection: 90, malformed reply: 12, 500: 3"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A real pseudo-terminal of 100 columns: what is written to, and the other end's descriptor."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        yield stream, ours
    os.close(ours)


def drawn(ours: int) -> list[str]:
    """Return the states of the line, as they were drawn over one another."""
    text = b""
    while select.select([ours], [], [], 0.5)[0]:
        text += os.read(ours, 1 << 16)
    return [part for part in re.split(r"[\r\n]+(?:\x1b\[K)?", text.decode()) if part]


def test_a_bar_shows_rate_time_and_money_within_the_terminal(terminal: tuple[TextIO, int]) -> None:
    stream, ours = terminal
    with Progress("grade", 4800, "replies", stream=stream) as progress:
        progress.update(1200, "$1.00 of $5.00; 429: 3")
        progress.tell("SIGINT: waiting")
        progress.update(1200, EXTRA)
    lines = drawn(ours)
    assert lines[0] == "SIGINT: waiting"
    assert re.match(r"━{10}╌{10} grade 2,400/4,800 replies, [\d,.]+/s, ETA 0:0\d, \$1,234\.56 of \$5,000", lines[-1])
    assert max(map(len, lines)) < 100
    assert lines[-1].endswith("…")


def test_elsewhere_it_is_whole_plain_lines() -> None:
    stream = io.StringIO()
    with Progress("grade", 4800, "replies", every=0.0, stream=stream) as progress:
        progress.update(1200, EXTRA)
        progress.tell("SIGINT: waiting")
    first, told = stream.getvalue().splitlines()
    assert re.fullmatch(r"grade 1,200/4,800 replies, [\d,.]+/s, ETA [\d:]+, " + re.escape(EXTRA), first)
    assert told == "SIGINT: waiting"


def test_the_last_plain_line_is_said_once() -> None:
    stream = io.StringIO()
    with Progress("grade", 4800, "replies", every=0.0, stream=stream) as progress:
        progress.update(1200)
        progress.every = 3600.0
        progress.update(600)
        progress.every = 0.0
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["1,200/4,800", "1,800/4,800"]


def test_what_is_shown_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    stream = io.StringIO()
    Progress("grade", 1, "replies", every=0.0, stream=stream).update(1, "said sk-0123456789abcdef")
    assert "said ***" in stream.getvalue()
