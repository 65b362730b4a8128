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
_USER = re.compile(r"(?<=://)[^\s/@'\"<>]+@")
_PARAMETER = re.compile(
    r"(?<=[?&])((?:[\w-]*(?:key|token|secret|password|signature)|sig|code)=)[^&\s'\"<>#]+", re.IGNORECASE
)


def secrets() -> tuple[str, ...]:
    """Return the values of the environment's variables that are named as secrets are, longest first."""
    found = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= SHORTEST}
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
