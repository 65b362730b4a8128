"""Secrets taken out of what a process shows or keeps.

Secrets live in the environment alone. Whatever leaves a process (an error's line, a traceback, progress, a reply that
an endpoint filled with what it was sent) passes here, so that a service that repeats a key cannot get it written down.
"""

from __future__ import annotations

import os
import re

#: What stands in a secret's place.
HIDDEN = "***"

#: Shorter values are not looked for: they would take pieces out of ordinary words.
SHORTEST = 8

_NAMES = re.compile(
    r"(?:KEY|KEY_ID|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|CONNECTION_STRING)$", re.IGNORECASE
)
#: Variables that hold a secret whatever their names are; see :func:`hide`.
_hidden: set[str] = set()
_USER = re.compile(r"(?<=://)[^\s/@'\"<>]+@")
_PARAMETER = re.compile(
    r"(?<=[?&])((?:[\w-]*(?:key|token|secret|password|signature)|sig|code)=)[^&\s'\"<>#]+", re.IGNORECASE
)


def hide(name: str) -> None:
    """Take the environment's variable ``name`` for a secret from now on: params.yaml says that it holds a key."""
    _hidden.add(name)


def secrets() -> tuple[str, ...]:
    """Return the values of the variables that are named as secrets are, or were told to :func:`hide`, longest first."""
    named = (value for name, value in os.environ.items() if name in _hidden or _NAMES.search(name))
    found = {value for value in named if len(value) >= SHORTEST}
    return tuple(sorted(found, key=len, reverse=True))


def redact(text: str) -> str:
    """Return ``text`` with ``***`` for every secret: values of :func:`secrets` and credentials inside URLs.

    >>> redact("http://me:pass@host/v1?api-version=1&sig=abc was refused")
    'http://***@host/v1?api-version=1&sig=*** was refused'
    """
    for value in secrets():
        text = text.replace(value, HIDDEN)
    return _PARAMETER.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", text))


def has_credentials(url: str) -> bool:
    """Return whether ``url`` carries a user, a password or a parameter that is named as a secret is."""
    return bool(_USER.search(url) or _PARAMETER.search(url))
