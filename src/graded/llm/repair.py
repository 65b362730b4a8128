"""The ledger's files checked; what is whole of the damaged ones is kept, and the originals stay in .ledger/aside."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from graded.formats.atomic import atomic
from graded.llm import money
from graded.llm.damage import split
from graded.llm.lines import decode, whole
from graded.llm.store import SUFFIX, Store, unpack


class Verdict(NamedTuple):
    """What a check of one file found."""

    path: Path
    lines: int
    problem: str | None


def verify(store: Store) -> Iterator[Verdict]:
    """Check the name of each segment and the checksum of each line of each file."""
    for path in [*store.segments().values(), *sorted(store.aside.glob(f"*{SUFFIX}"))]:
        packed = path.read_bytes()
        good, bad, torn = _lines(packed)
        problem = None if _right(path) else "its bytes are not what its name says"
        if bad or torn:
            problem = f"{bad} damaged lines" + (", its end cannot be unpacked" if torn else "")
        yield Verdict(path, len(good), problem)
    for path in store.writers().values():
        good, bad, _ = split(path.read_bytes())
        yield Verdict(path, len(good), f"{bad} damaged lines" if bad else None)
    for path in sorted(store.money.glob("[!.]*.json")):
        if money.read(path) is None:
            yield Verdict(path, 0, "cannot be read")


def repair(store: Store, path: Path) -> str | None:
    """Keep what is whole of the damaged file at ``path``; return what was done, None where nothing can be done here.

    A segment set aside is replaced by its copy in data/ledger, else by one of its whole records; the dollars that it
    stood for still count. A live file is sealed, if its process has ended. The original stays in .ledger/aside.
    """
    with store.lock():
        if path.parent == store.aside:
            return _segment(store, path)
        if path.parent == store.live and not store.lives(path.stem):
            whole_lines = len(split(path.read_bytes())[0])
            store.seal([path])
            return f"{whole_lines:,} whole records kept in a new segment"
        if path.parent == store.money and (store.sealed / f"{path.stem}{SUFFIX}").is_file():
            store.keep_money(store.sealed / f"{path.stem}{SUFFIX}")
            return "written anew from its segment"
    return None


def _segment(store: Store, path: Path) -> str:
    copy = store.snapshot / path.name
    good, _, _ = _lines(path.read_bytes())
    kept = [line for line in good if decode(line)["kind"] in ("reply", "lost")]
    store.keep_money(path)
    if copy.is_file() and _right(copy):
        with atomic(store.sealed / path.name) as temporary:
            shutil.copyfile(copy, temporary)
        done = "restored from data/ledger"
    else:
        name = path.name.removesuffix(SUFFIX)
        writers = money.read(store.money / f"{name}.json") or {f"repaired-{name[:16]}": money.counted(kept)}
        if kept:
            store.write_segment(writers, kept)
        done = f"{len(kept):,} whole records kept in a new segment"
    path.replace(path.with_name(f"{path.name}.damaged"))
    return done


def _right(path: Path) -> bool:
    """Are the bytes of a segment what its name says?"""
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.name.removesuffix(SUFFIX)


def _lines(packed: bytes) -> tuple[list[bytes], int, bool]:
    """Return the whole lines of a segment, how many are damaged, and whether it could not be unpacked to its end."""
    good, bad = [], 0
    try:
        for line in unpack(packed):
            if whole(line):
                good.append(line)
            else:
                bad += 1
    except zstandard.ZstdError:
        return good, bad, True
    return good, bad, False
