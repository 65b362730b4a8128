"""Checkpoints: whole or not there, two at most, outside the stage's outs, so that DVC's clean-up leaves them.

`.work/train/<key>/step-<n>/` holds state.safetensors (weights that are trained, moments) and state.json (the steps'
losses). The key is a hash of everything the result depends on: data, encoder, params, seed, number of processes and
the code that trains. A run that starts again with the same key goes on from its last step; any other starts afresh.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graded.console import say
from graded.errors import flat
from graded.formats.atomic import atomic_folder, write_json

#: Checkpoints that stay; one more exists while it is written.
KEEP = 2
#: Days after which the checkpoints of a run that was never finished are removed.
STALE = 14


def make_key(files: list[Path], facts: dict[str, Any]) -> str:
    """Return a hash of ``files``' bytes, of ``facts`` and of the code of graded.retrieval."""
    made = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    code = sorted(Path(__file__).parents[1].rglob("*.py"))
    for path in [*files, *code]:
        with path.open("rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()[:24]


class Checkpoints:
    """The checkpoints of one run in ``folder``; ``minutes`` between two (0: one after every step)."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder, self.minutes = folder, minutes
        self.saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last one is old enough for another."""
        return time.monotonic() - self.saved >= 60 * self.minutes

    def save(self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write the state after ``step`` steps and remove what is older than the last ``KEEP``.

        Raises:
            ServiceError: the disk is full or may not be written; the checkpoint before is whole.
        """
        from safetensors.torch import save_file

        target = self.folder / f"step-{step:09}"
        if not target.exists():
            with atomic_folder(target) as folder:
                save_file(
                    {name: value.detach().contiguous() for name, value in tensors.items()}, folder / "state.safetensors"
                )
                write_json(folder / "state.json", {"step": step, **facts})
        for old in self._all()[:-KEEP]:
            shutil.rmtree(old)
        self.saved = time.monotonic()

    def load(self, tensors: dict[str, Tensor]) -> dict[str, Any] | None:
        """Fill ``tensors`` in place from the newest checkpoint and return its facts; None where there is none."""
        from safetensors import SafetensorError, safe_open

        for path in reversed(self._all()):
            try:
                facts: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
                with safe_open(path / "state.safetensors", framework="pt") as file:
                    if set(file.keys()) != set(tensors):
                        raise ValueError("other tensors")
                    with torch.no_grad():
                        for name, value in tensors.items():
                            value.copy_(file.get_tensor(name))
            except (OSError, ValueError, SafetensorError) as error:
                say(f"train: {path} does not open ({flat(error)}); the one before is used")
                continue
            return facts
        return None

    def remove(self) -> None:
        """Remove this run's checkpoints, and those of runs that nobody went on with for ``STALE`` days."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for other in self.folder.parent.glob("*"):
            if time.time() - other.stat().st_mtime > STALE * 86400:
                shutil.rmtree(other, ignore_errors=True)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))
