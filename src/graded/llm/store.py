"""The ledger's files: where they stand, how one is read, and how writers' files become immutable segments.

    .ledger/live/<writer>.jsonl             one a writer, locked while it lives; a torn last line is dropped
    .ledger/segments/<sha256>.jsonl.zst     sealed, never changed, named by the hash of its bytes
    .ledger/aside/                          segments whose bytes are not what their name says; <name>.damaged: the
                                            original of what was repaired
    data/ledger/<sha256>.jsonl.zst          the team's snapshot, tracked by data/ledger.dvc

A segment's first line names the writers it holds with their dollars; a live file of such a writer is a left-over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import yaml
import zstandard

from graded.errors import DataError, MissingError
from graded.formats import yaml12
from graded.formats.atomic import atomic
from graded.llm import money
from graded.llm.damage import mended, split
from graded.llm.lines import decode, encode
from graded.llm.money import Money

POINTER = Path("data/ledger.dvc")
SUFFIX = ".jsonl.zst"
LEVEL = 9


class Store:
    """The ledger of one clone: ``root`` is the repository's root (of the main one in DVC's temporary copies)."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("DVC_ROOT") or ".")
        self.folder = self.root / ".ledger"
        self.live, self.sealed, self.aside = (self.folder / name for name in ("live", "segments", "aside"))
        self.money = self.folder / "money"
        self.snapshot = self.root / "data" / "ledger"
        self.named: set[Path] = set()
        #: Replies that this process itself has written, and their dollars.
        self.replies, self.dollars = 0, 0.0

    def segments(self) -> dict[str, Path]:
        """Return the segments by file name, sorted; one that is here twice is taken once."""
        found = {path.name: path for folder in (self.snapshot, self.sealed) for path in folder.glob(f"*{SUFFIX}")}
        return dict(sorted(found.items()))

    def writers(self) -> dict[str, Path]:
        """Return the live files by writer, sorted."""
        return {path.stem: path for path in sorted(self.live.glob("*.jsonl"))}

    def read_segment(self, path: Path) -> tuple[dict[str, Any], Iterator[bytes]] | None:
        """Return the head and the lines of a segment; None where it is corrupt, after naming and setting it aside."""
        try:
            packed = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(packed).hexdigest() != path.name.removesuffix(SUFFIX):
            self.set_aside(path)
            return None
        lines = unpack(packed)
        return decode(next(lines)), lines

    def set_aside(self, path: Path) -> None:
        """Name a corrupt segment once; one of .ledger is moved away, one of the snapshot only passed over."""
        if path.parent == self.sealed:
            self.keep_money(path)
            self.aside.mkdir(parents=True, exist_ok=True)
            path.replace(self.aside / path.name)
            self.name(
                path,
                f"corrupt segment {path.name} set aside in {self.aside}; the rest is used",
            )
        else:
            self.name(path, f"corrupt segment {path} passed over; 'dvc checkout --force data/ledger.dvc' restores it")

    def name(self, path: Path, text: str) -> None:
        """Say ``text`` about ``path`` on stderr, once."""
        if path not in self.named:
            self.named.add(path)
            print(f"graded: ledger: {text}", file=sys.stderr, flush=True)

    def damage(self) -> list[Path]:
        """Return what is known to be corrupt: segments set aside, and what this process has passed over."""
        return sorted({*self.aside.glob(f"*{SUFFIX}"), *(path for path in self.named if path.exists())})

    def read_live(self, path: Path, start: int = 0) -> tuple[list[bytes], int]:
        """Return the whole lines of a live file from byte ``start``, and the byte behind the last of them."""
        try:
            with path.open("rb") as file:
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            return [], start
        good, bad, end = split(data)
        if bad:
            self.name(path, f"{bad} damaged lines of {path} passed over")
        return good, start + end

    def check_snapshot(self) -> None:
        """Check that the snapshot that data/ledger.dvc names is here, so that nothing of it is bought again.

        Raises:
            MissingError: it is not here, or older than data/ledger.dvc; the text names the command that brings it.
            DataError: as :func:`pointer`.
        """
        if not (self.root / POINTER).is_file():
            return
        if not self.snapshot.is_dir():
            raise MissingError(
                "data/ledger.dvc names paid replies that are not here and would count as new; run: graded ledger pull"
            )
        out = pointer(self.root)
        have = [path.stat().st_size for path in self.snapshot.iterdir() if path.is_file()]
        if len(have) < out.get("nfiles", 0) or sum(have) < out.get("size", 0):
            raise MissingError(
                f"data/ledger holds {len(have)} files, data/ledger.dvc names {out.get('nfiles')}; "
                "run: graded ledger pull"
            )

    @contextmanager
    def lock(self, name: str = "lock") -> Iterator[None]:
        """Hold the clone-wide lock ``name``; a dead holder's lapses with its process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def dead(self) -> list[Path]:
        """Return the live files whose writer has ended; call under :meth:`lock`."""
        return [path for writer, path in self.writers().items() if not self.lives(writer)]

    def lives(self, writer: str) -> bool:
        """Is the process of ``writer`` still there? It holds its live file locked until it ends."""
        try:
            with (self.live / f"{writer}.jsonl").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def seal(self, files: list[Path], *, carried: bool = False) -> Path | None:
        """Make one segment of ``files``, whose writers write no more, and remove them; call under :meth:`lock`.

        Replies and possibly paid requests are kept; an open reservation becomes a possibly paid request, or is
        dropped where another live file has taken it over (``carried``).
        Returns the segment, or None where there was nothing to keep.
        """
        kept: list[bytes] = []
        writers: dict[str, Money] = {}
        for path in files:
            lines, dollars = settle(mended(path, self.aside), carried=carried)
            kept += lines
            writers[path.stem] = dollars
        target = self.write_segment(writers, kept) if kept else None
        for path in files:
            path.unlink(missing_ok=True)
        return target

    def write_segment(self, writers: Mapping[str, Money], lines: Iterable[bytes]) -> Path:
        """Write a segment of ``lines``, whose ``writers`` (name to dollars) its first line names; return its file."""
        head = encode({"key": "", "kind": "segment", "writers": writers})
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(head + b"".join(lines))
        target = self.sealed / f"{hashlib.sha256(packed).hexdigest()}{SUFFIX}"
        with atomic(target) as temporary:
            temporary.write_bytes(packed)
        money.keep(self.money, target.name.removesuffix(SUFFIX), writers)
        return target

    def keep_money(self, path: Path) -> None:
        """Keep the dollars of a segment apart from it, as far as they can be read, if they are not yet."""
        name = path.name.removesuffix(SUFFIX)
        if money.read(self.money / f"{name}.json") is None:
            try:
                writers = money.head_of(unpack(path.read_bytes()))
            except zstandard.ZstdError:
                writers = None
            if writers is not None:
                money.keep(self.money, name, writers)


def pointer(root: Path) -> dict[str, Any]:
    """Return the one out of data/ledger.dvc; empty where there is none.

    Raises:
        DataError: it is not what DVC writes, such as after a merge that stopped at it.
    """
    path = root / POINTER
    if not path.is_file():
        return {}
    try:
        return dict(yaml12.loads(path.read_text(encoding="utf-8"))["outs"][0])
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, ValueError):
        raise DataError(
            f"{path} is not what DVC writes (a merge that stopped?); then: graded ledger merge OTHER-BRANCH"
        ) from None


def unpack(packed: bytes) -> BufferedReader:
    """Return a segment's bytes as a file of lines; reading raises zstandard.ZstdError where they cannot be unpacked.

    Read in small pieces, so that the lines before a damaged place can be had.
    """
    return BufferedReader(zstandard.ZstdDecompressor().stream_reader(BytesIO(packed)), 1 << 16)


def settle(lines: list[bytes], *, carried: bool = False) -> tuple[list[bytes], Money]:
    """Return what an ended writer leaves: its replies and possibly paid requests as lines, and its dollars.

    Open reservations are possibly paid, unless another live file has taken them over (``carried``).
    """
    kept: list[bytes] = []
    held: dict[str, dict[str, Any]] = {}
    paid = lost = 0.0
    for line in lines:
        fields = decode(line)
        if fields["kind"] == "hold":
            held[fields["key"]] = fields
        elif fields["kind"] in ("reply", "lost", "free"):
            held.pop(fields["key"], None)
            if fields["kind"] != "free":
                kept.append(line)
            paid += fields["usd"] if fields["kind"] == "reply" else 0.0
            lost += fields["usd"] if fields["kind"] == "lost" else 0.0
    for fields in () if carried else held.values():
        del fields["sum"]
        kept.append(encode({**fields, "kind": "lost", "why": "the buying process ended before the reply"}))
        lost += fields["usd"]
    return kept, Money(paid, lost)
