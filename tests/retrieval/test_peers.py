"""Several processes that fail for one reason say it once; the launcher gets it too."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from graded.errors import DataError, GradedError, ServiceError
from graded.retrieval.peers import ERROR_FILE, PeerError, once


def fails(error: GradedError, attempt: Path | None, rank: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether process ``rank`` says ``error``."""

    def main() -> None:
        raise error

    monkeypatch.delenv(ERROR_FILE, raising=False)
    if attempt:
        monkeypatch.setenv(ERROR_FILE, str(attempt / str(rank) / "error.json"))
    with pytest.raises((GradedError, SystemExit)) as raised:
        once(main)()
    return isinstance(raised.value, GradedError)


def test_one_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = [fails(DataError("no pair"), tmp_path / "0", rank, monkeypatch) for rank in (1, 0, 2)]
    assert same == [True, False, False]
    left = json.loads((tmp_path / "0" / "2" / "error.json").read_text(encoding="utf-8"))
    assert left["message"]["message"] == "no pair"
    assert fails(ServiceError("disk full"), tmp_path / "0", 3, monkeypatch)  # another reason
    assert fails(DataError("no pair"), tmp_path / "1", 0, monkeypatch)  # the next attempt
    assert fails(DataError("no pair"), None, 0, monkeypatch)  # no launcher: every process for itself


def test_who_stumbles_over_the_first_is_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fails(PeerError("another process ended"), tmp_path / "killed", 0, monkeypatch)
    assert fails(ServiceError("out of memory"), tmp_path / "0", 1, monkeypatch)
    assert not fails(PeerError("another process ended"), tmp_path / "0", 0, monkeypatch)


def test_the_launchers_signal_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "0" / "0" / "error.json"))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PeerError, match=r"another one ended .* the same command goes on"):
        once(lambda: os.kill(os.getpid(), signal.SIGTERM))()
    assert signal.getsignal(signal.SIGTERM) is before
