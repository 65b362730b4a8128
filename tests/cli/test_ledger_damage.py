"""A damaged file of the ledger: named, repaired, its original kept, and none of its dollars forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import zstandard

from graded.errors import DataError
from graded.llm.ledger import Ledger, spent
from graded.llm.store import Store, unpack
from graded.llm.writer import Writer
from tests.cli.test_ledger import full, graded
from tests.llm.test_ledger import hold, sealed_segment


def damage(path: Path, place: float) -> bytes:
    """Flip one bit of a file, at ``place`` of its length; return what it was."""
    whole = path.read_bytes()
    data = bytearray(whole)
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
    return whole


@pytest.mark.parametrize("way", ["delete", "repair", "delete the sealed one"])
def test_no_dollar_is_forgotten_with_a_damaged_segment(purse: Path, way: str) -> None:
    """The cap covers what was paid, whatever becomes of the replies."""
    store = Store(purse)
    sealed = sealed_segment(store, full(0), full(1), hold(2, usd=0.25))
    damage(sealed, 0.5)
    if way == "delete the sealed one":
        sealed.unlink()
    assert "this clone     $1.00 paid, $0.25 possibly paid or in flight" in graded("ledger", "status")
    for path in store.aside.glob("*"):
        if way == "delete":
            path.unlink()
        else:
            graded("ledger", "verify", "--repair")
    assert (spent(purse).paid, spent(purse).lost, spent(purse).reserved) == (1.0, 0.25, 0.0)


def test_a_segment_whose_head_is_damaged_is_repaired_with_its_dollars(purse: Path) -> None:
    """Also one of a clone whose segments have no record of their dollars beside them."""
    store = Store(purse)
    sealed = sealed_segment(store, *[full(number) for number in range(4)])
    lines = [bytearray(line) for line in unpack(sealed.read_bytes())]
    lines[0][20] ^= 1
    sealed.write_bytes(zstandard.compress(b"".join(lines)))
    for path in store.money.iterdir():
        path.unlink()
    assert spent(purse).paid == 0, "nobody knows yet"
    assert "4 whole records kept in a new segment" in graded("ledger", "verify", "--repair")
    assert (spent(purse).paid, len(Ledger(purse).state.known)) == (2.0, 4)


def test_a_segment_that_was_published_is_restored_whole(purse: Path) -> None:
    store = Store(purse)
    sealed = sealed_segment(store, full(0), full(1))
    store.snapshot.mkdir(parents=True)
    (store.snapshot / sealed.name).write_bytes(damage(sealed, 0.5))
    assert "restored from data/ledger" in graded("ledger", "verify", "--repair")
    assert "all checksums hold" in graded("ledger", "verify")
    assert (len(Ledger(purse).state.known), spent(purse).paid) == (2, 1.0)


def test_a_damaged_live_file_of_an_ended_process_is_repaired(purse: Path) -> None:
    store = Store(purse)
    with Writer(store) as live:
        live.write([full(number) for number in range(9)])
        whole = live.path.read_bytes()
        damage(live.path, 0.5)
        damaged = live.path.read_bytes()
        with pytest.raises(DataError, match="1 of 1 files are damaged; 'graded ledger verify --repair'"):
            graded("ledger", "verify")
        with pytest.raises(DataError, match="of a process that still runs"):
            graded("ledger", "verify", "--repair")
        assert live.path.read_bytes() == damaged != whole
    assert "8 whole records kept in a new segment" in graded("ledger", "verify", "--repair")
    assert "all checksums hold" in graded("ledger", "verify")
    assert (store.aside / f"{live.path.name}.damaged").read_bytes() == damaged
    assert (len(Ledger(purse).state.known), spent(purse).paid, spent(purse).lost) == (8, 4.0, 0.5)


def test_sealing_says_what_it_leaves_out_and_keeps_the_original(
    purse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `graded ledger publish` and a buyer's start do with what ended processes left."""
    store = Store(purse)
    with Writer(store) as live:
        live.write([full(number) for number in range(9)])
    damage(live.path, 0.5)
    with store.lock():
        store.seal(store.dead())
    assert re.search(
        r"1 damaged lines of \S+ left out, possibly \$0.5000; the original is kept: ", capsys.readouterr().err
    )
    assert (store.aside / f"{live.path.name}.damaged").is_file()
    assert not store.damage()
