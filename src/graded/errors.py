"""What can go wrong, as one line a person can act on.

Every error that a user can cause is a :class:`GradedError`: its text quotes the value received, the legal
values and the next command, and the command line prints that text alone and exits with ``exit_code``.
Anything else is a bug and keeps its traceback.

    GradedError
    ├── ParamError       a key or value in params.yaml or on the command line
    ├── DataError        a file that is not what its name promises (line and column named)
    ├── MissingError     something that another command would bring
    ├── BudgetError      buying is not allowed, or the cap is reached        (exit code 3)
    ├── ResumeError      stopped on purpose; the same command goes on        (exit code 4)
    └── ServiceError     an API, a remote or a disk said no
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


class GradedError(Exception):
    """An error whose text is meant for the user; ``exit_code`` is the process's."""

    exit_code = 1


class ParamError(GradedError):
    """A parameter has a name or a value that is not legal."""


class DataError(GradedError):
    """An input file breaks its format; nothing of it was used."""


class MissingError(GradedError):
    """A file or a reply is not here; the text names the command that brings it."""


class BudgetError(GradedError):
    """A reply would have to be bought and the budget does not allow it."""

    exit_code = 3


class ResumeError(GradedError):
    """Work was stopped cleanly; running the same command again continues it."""

    exit_code = 4


class ServiceError(GradedError):
    """A service outside this process (API, remote, disk) refused or failed."""


def flat(error: BaseException, most: int = 160) -> str:
    """Return the text of somebody else's error on one line, cut at ``most``; its type's name where it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def many(count: int, word: str, verb: str = "") -> str:
    """Return ``1 batch is``, ``2 batches are``: a count, its noun (in the singular) and a verb (in the plural)."""
    if count == 1:
        verb = {"": "", "are": "is", "have": "has", "were": "was"}.get(verb, f"{verb}s")
    elif re.search("[^aeiou]y$", word):
        word = f"{word[:-1]}ies"
    else:
        word += "es" if re.search("(s|x|ch|sh)$", word) else "s"
    return f"{count:,} {word} {verb}".rstrip()


def one_of(received: object, legal: Iterable[object]) -> str:
    """Return ``received 'x'; legal: a, b, c`` with the nearest legal value named when there is one."""
    names = [str(value) for value in legal]
    near = get_close_matches(str(received), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"received {received!r}{hint}; legal: {', '.join(names)}"
