"""One line, said once, where several processes of a launch fail for the same reason.

torchrun (and `accelerate launch` through it) gives each process a file for its error, in a folder that those of one
host share for one attempt. The process that fails first leaves its line there; one that fails with the same line, or
stumbles over the first one's end, is quiet. Where a process ends without a word (kill -9, no more memory), the launcher
stops the others by SIGTERM, and one of these says so. What the launcher itself prints behind it stays.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from pathlib import Path

from graded.errors import GradedError, ServiceError
from graded.formats.redact import redact

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"


class PeerError(ServiceError):
    """Another process of the launch ended, so this one cannot go on."""


def once(main: Callable[[], None]) -> Callable[[], None]:
    """Return ``main``, which raises a GradedError in the first process that meets it and ends quietly in the others.

    There SIGTERM is a PeerError. Without a launcher's error file (one process, or another launcher) nothing changes.
    """

    @wraps(main)
    def wrapped() -> None:
        launched = bool(os.environ.get(ERROR_FILE))
        before = signal.signal(signal.SIGTERM, _stop) if launched else None
        try:
            main()
        except GradedError as error:
            if not _first(redact(str(error)), follows=isinstance(error, PeerError)):
                raise SystemExit(error.exit_code) from None
            raise
        finally:
            if launched:
                signal.signal(signal.SIGTERM, before)

    return wrapped


def _stop(number: int, frame: object) -> None:
    raise PeerError(
        "the launcher stopped this process, because another one ended without a word (killed by the system, out of"
        " memory) or because it was itself told to stop; what is finished stays, and the same command goes on"
    )


def _first(line: str, *, follows: bool) -> bool:
    """Whether no process of this host has said ``line`` before (if it ``follows``, any line); it is left there."""
    name = os.environ.get(ERROR_FILE)
    if not name:
        return True
    mine = Path(name)
    if follows and any(mine.parents[1].glob("said-*")):
        return False
    try:
        mine.parent.mkdir(parents=True, exist_ok=True)
        extra = {"py_callstack": line, "timestamp": str(int(time.time()))}
        mine.write_text(json.dumps({"message": {"message": line, "extraInfo": extra}}), encoding="utf-8")
        (mine.parents[1] / f"said-{sha256(line.encode()).hexdigest()[:16]}").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # the launcher's folder is gone, or may not be written: better twice than not at all
        return True
    return True
