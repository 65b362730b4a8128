"""What git says of a folder, for those who go on whatever it says; graded.experiments.git raises where it says no."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_says(root: Path, *arguments: str) -> str | None:
    """Return what a git command prints, None where git says no, hangs or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
