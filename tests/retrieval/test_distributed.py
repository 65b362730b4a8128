"""Where a process stands, from the environment that `accelerate launch` sets."""

from __future__ import annotations

import pytest

from graded.errors import ParamError
from graded.retrieval.distributed import Place, place
from graded.retrieval.threads import cores

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_alone_where_nothing_is_set() -> None:
    assert place() == Place(0, 1, 0, 1)
    assert place().first
    assert place().threads == cores()


def test_one_process_where_several_were_asked_for_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `accelerate launch --cpu --num_processes 4` leaves in the environment: an address and no rank."""
    for name, value in {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        assert place() == Place()
        assert capsys.readouterr().out == ""
        monkeypatch.setenv(name, value)
    assert place() == Place()
    said = capsys.readouterr().out
    assert said.startswith("accelerate started one process, although it was told of several; start them by ")
    assert said.count("\n") == 1


def test_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("5", "8", "1", "4"), strict=True):
        monkeypatch.setenv(name, value)
    assert place() == Place(5, 8, 1, 4)
    assert not place().first
    assert place().threads == max(1, cores() // 4)


@pytest.mark.parametrize(("rank", "world"), [("3", "2"), ("-1", "2"), ("x", "2"), ("0", "")])
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, rank: str, world: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ParamError, match="accelerate launch"):
        place()
