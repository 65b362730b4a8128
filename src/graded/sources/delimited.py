"""The records of a delimited table, one wrong quote at a time: a quote that never closes costs its own row, no other.

A quote counts where the cell is well-formed: opened at its start, closed at its end, doubled inside (RFC 4180, section
2). Between tabs anything else is a literal quote, as such files have no quoting of their own (IANA,
text/tab-separated-values); elsewhere the row is bad.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

#: Characters that a cell may have; for csv.field_size_limit, which is the process's.
LONGEST = 1 << 27


def cells(file: Iterator[str], delimiter: str, columns: int) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record of ``file`` (lines as they stand) as its cells, or why it is none, behind its first line.

    Lines are counted from 1 for the first one of ``file``. A cell may span lines. What a bad quote has taken in is read
    again from the next line on.
    """
    waiting: deque[str] = deque()
    number = 1
    while True:
        taken: list[str] = []
        try:
            row = next(csv.reader(_take(file, waiting, taken), delimiter=delimiter, strict=True), None)
            why = "" if row is None or not _swallowed(taken, delimiter, columns) else "takes in the rows below it"
        except csv.Error as error:
            row, why = [], _reason(str(error))
        if row is None:
            return
        if why:
            waiting.extendleft(reversed(taken[1:]))
            del taken[1:]
        if why and delimiter == "\t":
            yield number, taken[0].rstrip("\r\n").split("\t")
        elif why:
            yield number, f'a " that {why}'
        elif row:
            yield number, row
        number += len(taken)


def _take(file: Iterator[str], waiting: deque[str], taken: list[str]) -> Iterator[str]:
    """Yield the lines that wait, then those of ``file``, and keep what was yielded."""
    while True:
        line = waiting.popleft() if waiting else next(file, None)
        if line is None:
            return
        taken.append(line)
        yield line


def _swallowed(lines: list[str], delimiter: str, columns: int) -> bool:
    """Return whether a record of several lines is rather that many rows, the first and last with a stray quote.

    Every line has the header's number of columns. A tab inside a cell is rare enough for that to tell; other delimiters
    stand in sentences, so three lines are asked for, each with one word (an id) at its start.
    """
    if len(lines) < 2 or columns < 2 or any(line.count(delimiter) != columns - 1 for line in lines):
        return False
    starts = [line.partition(delimiter)[0].split() for line in lines]
    return delimiter == "\t" or (len(lines) > 2 and all(len(words) == 1 for words in starts))


def _reason(error: str) -> str:
    if "expected after" in error:
        return "stands inside a quoted cell and is not doubled"
    if "unexpected end" in error or "field larger" in error:
        return "is never closed"
    return f"cannot be read ({error})"
