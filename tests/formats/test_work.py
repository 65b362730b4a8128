"""Scratch files stand in the main repository, wherever a stage runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.formats.work import work_folder


def test_it_is_the_main_repositorys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert work_folder("hits") == Path.cwd() / ".work/hits"
    monkeypatch.setenv("DVC_ROOT", "/repo")
    assert work_folder("train", "key") == Path("/repo/.work/train/key")
