"""JSON records that a stage leaves, such as metrics/evaluate.json; `atomic.write_json` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from graded.errors import DataError, MissingError, flat


def read_record(path: Path, stage: str | None = None) -> dict[str, Any]:
    """Return a record; ``stage`` is the one that writes it, by default that of the file's name.

    Raises:
        MissingError: there is no such file.
        DataError: it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"no {path} here; 'dvc repro' makes it, 'dvc pull' fetches it") from None
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON ({flat(error)}); 'dvc repro -f {stage or path.stem}' writes it again"
        ) from None
