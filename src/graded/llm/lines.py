"""One ledger record a line: JSON, with a checksum in front, so that a torn or flipped line cannot pass for a whole one.

``{"sum":"1a2b3c4d","key":"<64 hex>","kind":"reply",...}``: ``sum`` is the CRC-32 of everything behind its comma.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from zlib import crc32

import orjson

_HEAD = b'{"sum":"'
_START = len(_HEAD) + 8 + 2
_KEY = b'"key":"'
_KIND = b'","kind":"reply",'
_ENTRY = re.compile(rb'"key":"([0-9a-f]{32})[0-9a-f]{32}","kind":"(\w+)",(?:"at":\d+,)?"usd":([0-9][-+.0-9e]*)[,}]')


def encode(fields: dict[str, Any]) -> bytes:
    """Return the line of ``fields`` with its line end; ``key`` and ``kind`` come first in ``fields``.

    No number may be infinite or NaN: JSON has neither.
    """
    rest = dumps(fields)[1:]
    return b'%s%08x",%s\n' % (_HEAD, crc32(rest), rest)


def whole(line: bytes) -> bool:
    """Is ``line`` (with its line end) whole?"""
    if not line.startswith(_HEAD) or not line.endswith(b"\n"):
        return False
    return line[len(_HEAD) : _START] == b'%08x",' % crc32(line[_START:-1])


def decode(line: bytes) -> dict[str, Any]:
    """Return the fields of a whole line, the checksum among them."""
    fields: dict[str, Any] = loads(line)
    return fields


def dumps(value: Any) -> bytes:
    """Return ``value`` as compact JSON in UTF-8."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate (written as an escape), an integer of more than 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


def loads(data: bytes) -> Any:
    """Return what JSON ``data`` says; a ValueError where it is none."""
    try:
        return orjson.loads(data)
    except ValueError:  # what Python's own parser takes all the same: lone surrogates, Infinity
        return json.loads(data)


class Entry(NamedTuple):
    """What counts of a record while it is fresh: its kind, the first 16 bytes of its key as hex, its dollars."""

    kind: str
    name: str
    usd: float


def entry(line: bytes) -> Entry:
    """Return what counts of a whole ``line``, in most cases without parsing the rest of it."""
    found = _ENTRY.match(line, _START)
    if found is None:
        return entry_of(decode(line))
    return Entry(found[2].decode(), found[1].decode(), float(found[3]))


def entry_of(fields: dict[str, Any]) -> Entry:
    """Return what counts of a record."""
    return Entry(fields["kind"], fields["key"][:32], fields.get("usd", 0.0))


def reply_key(line: bytes) -> bytes | None:
    """Return the 32-byte key where a whole ``line`` is a reply, without parsing the rest; else None."""
    start = _START + len(_KEY)
    if line[start + 64 : start + 64 + len(_KIND)] != _KIND or line[_START:start] != _KEY:
        return None
    return bytes.fromhex(line[start : start + 64].decode())
