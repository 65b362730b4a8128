"""Where numba keeps what it has compiled: beside the module, or under ``.work`` where that may not be written."""

from __future__ import annotations

import os
from pathlib import Path

from graded.formats.work import work_folder


def keep(module: Path) -> None:
    """Call before numba is imported: its code for the file ``module`` is then compiled once a machine.

    Never in the user's home, which may be read-only. NUMBA_CACHE_DIR stays where it is set.
    """
    if "NUMBA_CACHE_DIR" not in os.environ and not os.access(module.parent, os.W_OK):
        path = work_folder("numba")
        path.mkdir(parents=True, exist_ok=True)
        os.environ["NUMBA_CACHE_DIR"] = str(path)
