"""The scratch folder ``.work``: git-ignored, shared by every experiment of this clone, safe to delete."""

from __future__ import annotations

import os
from pathlib import Path


def work_folder(*parts: str) -> Path:
    """Return ``.work/<parts>`` of the main repository (DVC_ROOT where a DVC experiment runs in a copy), absolute."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute().joinpath(".work", *parts)
