"""The ledger keeps every whole reply, drops a torn line, names a corrupt segment, and never counts a dollar twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graded.errors import DataError
from graded.llm.keys import pack
from graded.llm.ledger import Ledger, spent
from graded.llm.lines import decode, encode, reply_key, whole
from graded.llm.state import State
from graded.llm.store import Store
from graded.llm.writer import Writer


def name(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def reply(number: int, *, at: int = 1, usd: float = 0.5, text: str = "[2]") -> dict[str, Any]:
    return {"key": name(number).hex(), "kind": "reply", "at": at, "usd": usd, "reply": {"text": text}}


def hold(number: int, usd: float = 2.0) -> dict[str, Any]:
    return {"key": name(number).hex(), "kind": "hold", "usd": usd}


def sealed_segment(store: Store, *records: dict[str, Any]) -> Path:
    """Return the segment of ``records``, which a process wrote that has ended."""
    with Writer(store) as live:
        live.write(list(records))
    with store.lock():
        sealed = store.seal(store.dead())
    assert sealed is not None
    return sealed


def texts(root: Path, count: int) -> dict[int, str]:
    keys = pack(name(number) for number in range(count))
    order = np.argsort(keys)
    return {int(order[position]): fields["reply"]["text"] for position, fields in Ledger(root).replies(np.sort(keys))}


@given(st.dictionaries(st.text(min_size=1), st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none()))
def test_a_line_survives_and_a_changed_byte_is_seen(fields: dict[str, Any]) -> None:
    line = encode({"key": name(1).hex(), "kind": "reply", "more": fields})
    assert whole(line)
    assert decode(line)["more"] == fields
    assert reply_key(line) == name(1)
    middle = len(line) // 2
    assert not whole(line[:middle] + bytes([line[middle] ^ 1]) + line[middle + 1 :])
    assert not whole(line[:-2])


def test_a_reply_with_a_lone_surrogate_is_kept(tmp_path: Path) -> None:
    with Writer(Store(tmp_path)) as live:
        live.write([reply(0, text="a\ud800b")])
    assert texts(tmp_path, 1) == {0: "a\ud800b"}


def test_a_torn_last_line_is_dropped_and_the_rest_used(tmp_path: Path) -> None:
    with Writer(Store(tmp_path)) as live:
        live.write([reply(number) for number in range(3)])
    live.path.write_bytes(live.path.read_bytes()[:-7])
    assert sorted(texts(tmp_path, 3)) == [0, 1]
    assert Ledger(tmp_path).missing(pack([name(2)])).all()


def test_dollars_are_the_same_before_and_after_sealing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Writer(store) as live:
        live.write([hold(0), hold(1), hold(2), hold(3), reply(0, usd=0.5)])
        live.write([{"key": name(1).hex(), "kind": "lost", "usd": 2.0, "why": "time-out"}])
        live.write([{"key": name(2).hex(), "kind": "free", "why": "429"}])
    before = spent(tmp_path)
    assert (before.paid, before.lost, before.reserved) == (0.5, 2.0, 2.0)
    with store.lock():
        store.seal(store.dead())
    after = spent(tmp_path)
    assert (after.paid, after.lost, after.reserved) == (0.5, 4.0, 0.0)
    assert not list(store.live.iterdir())


def test_a_file_left_over_by_a_crash_in_sealing_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Writer(store) as live:
        live.write([reply(0), reply(1)])
    kept = live.path.read_bytes()
    with store.lock():
        store.seal(store.dead())
    live.path.write_bytes(kept)
    assert spent(tmp_path).paid == 1.0
    assert len(Ledger(tmp_path).state.known) == 2


def test_a_full_file_is_sealed_and_open_reservations_move_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reader = Ledger(tmp_path)
    with Writer(store, full=3) as live:
        live.write([hold(9)])
        for number in range(7):
            live.write([hold(number), reply(number)])
            live.sync()
            reader.state.refresh()
            assert reader.state.paid == 0.5 * (number + 1)
            assert reader.state.reserved == 2.0
        assert len(store.segments()) == 2
    assert sorted(texts(tmp_path, 10)) == list(range(7))


def test_a_living_writer_is_never_sealed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Writer(store) as live:
        live.write([reply(0)])
        with store.lock():
            assert store.dead() == []
    with store.lock():
        assert store.dead() == [live.path]


@pytest.mark.parametrize("before", [True, False])
def test_no_claim_lapses_before_the_reply_that_ended_it_is_seen(tmp_path: Path, before: bool) -> None:
    """Another process takes its last reply in and ends, right before or right after its file is read here."""
    other = Writer(Store(tmp_path))
    other.write([hold(0), hold(1)])

    class Meanwhile(Store):
        ended = False

        def read_live(self, path: Path, start: int = 0) -> tuple[list[bytes], int]:
            if before:
                self.end()
            found = super().read_live(path, start)
            self.end()
            return found

        def end(self) -> None:
            if not self.ended:
                other.write([reply(0)])
                other.close()
                self.ended = True

    state = State(Meanwhile(tmp_path))
    state.refresh()
    assert (state.known.has(name(0)), state.in_flight(name(0)[:16])) == (before, not before)
    assert state.in_flight(name(1)[:16])
    state.refresh()
    assert state.known.has(name(0))
    assert not state.in_flight(name(0)[:16])
    assert not state.in_flight(name(1)[:16]), "a dead process's claim lapses"


def test_a_corrupt_segment_is_named_and_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    _, sealed = (sealed_segment(store, reply(number)) for number in range(2))
    data = bytearray(sealed.read_bytes())
    data[len(data) // 2] ^= 1
    sealed.write_bytes(data)
    assert texts(tmp_path, 2) == {0: "[2]"}
    said = capsys.readouterr().err
    assert said.count(sealed.name) == 1
    assert [path.name for path in store.damage()] == [sealed.name]


def test_the_earliest_of_two_replies_counts_whatever_the_files(tmp_path: Path) -> None:
    for first, second in (("[1]", "[3]"), ("[3]", "[1]")):
        root = tmp_path / first
        for text in (first, second):
            with Writer(Store(root)) as live:
                live.write([reply(0, at=100 if text == "[1]" else 200, text=text)])
        assert texts(root, 1) == {0: "[1]"}


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: the kernel then refuses the rest of a write."""
    code = """
import resource, signal, sys
from pathlib import Path
from graded.errors import ServiceError
from graded.llm.store import Store
from graded.llm.writer import Writer
from tests.llm.test_ledger import reply
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
live = Writer(Store(Path(sys.argv[1])))
live.write([reply(0)])
resource.setrlimit(resource.RLIMIT_FSIZE, (live.path.stat().st_size + 70, resource.RLIM_INFINITY))
try:
    live.write([reply(1), reply(2)])
except ServiceError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
live.write([reply(3)])
live.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=os.environ, capture_output=True, text=True, check=True
    )
    assert "cannot write" in done.stdout
    assert sorted(texts(tmp_path, 4)) == [0, 3]


def test_a_pointer_in_a_merge_that_stopped_is_one_line(tmp_path: Path) -> None:
    """git leaves its marks in data/ledger.dvc; whoever asks for replies meets them first."""
    (tmp_path / "data/ledger").mkdir(parents=True)
    (tmp_path / "data/ledger.dvc").write_text("outs:\n<<<<<<< HEAD\n- md5: a.dir\n=======\n- md5: b.dir\n>>>>>>> b\n")
    with pytest.raises(DataError, match=r"not what DVC writes .*: graded ledger merge OTHER-BRANCH"):
        Store(tmp_path).check_snapshot()
