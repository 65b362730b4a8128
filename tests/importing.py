"""Files to import into the current folder, and the bad rows that an import listed."""

from __future__ import annotations

from pathlib import Path


def write(name: str, text: str) -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def bad_rows() -> str:
    path = Path("out/fi.bad.txt")
    return path.read_text(encoding="utf-8") if path.exists() else ""
