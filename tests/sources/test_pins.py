"""What is published where: every file of the languages asked for, with its hash."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from graded.errors import DataError, ParamError
from graded.sources import miracl
from graded.sources.pins import clirmatrix_pins, miracl_pins, read_index


def test_miracl_is_pinned_whole() -> None:
    pins = miracl_pins(list(miracl.SHARDS), "dev")
    counts = Counter(path.partition("/")[0] for path, *_ in pins)
    assert {lang: counts[f"miracl-corpus-v1.0-{lang}"] for lang in miracl.SHARDS} == miracl.SHARDS
    assert all(counts[f"miracl-v1.0-{lang}"] == 2 for lang in miracl.SHARDS)
    assert all(len(pin.md5) == 32 and pin.size > 0 for pin in pins)
    fi = miracl_pins(["fi"], "dev", "topics", revision="abc")
    assert fi[0].url.endswith("/resolve/abc/miracl-v1.0-fi/qrels/qrels.miracl-v1.0-fi-dev.tsv")
    with pytest.raises(ParamError, match="received 'xx'"):
        miracl_pins(["xx"], "dev")
    with pytest.raises(ParamError, match="did you mean 'dev'"):
        miracl_pins(["fi"], "dec")


def test_clirmatrix_is_read_from_its_index(tmp_path: Path) -> None:
    entry = {"url": "http://host/x", "expected_md5": "0" * 32, "size_hint": 5}
    index = {
        "clirmatrix_docs": {"docs/de": entry, "docs/en": entry},
        "clirmatrix_multi8": {"queries/de_en/dev": entry, "queries/en_de/dev": entry, "queries/de_en/test1": entry},
    }
    path = tmp_path / "downloads.json.gz"
    path.write_bytes(gzip.compress(json.dumps(index).encode()))
    assert [pin.path for pin in read_index(path, ["de", "en"], "dev")] == [
        "docs/de.tsv.gz", "docs/en.tsv.gz", "queries/de_en/dev.jsonl.gz", "queries/en_de/dev.jsonl.gz",
    ]  # fmt: skip
    with pytest.raises(DataError, match="is not CLIRMatrix's index"):
        read_index(path, ["de", "ru"], "dev")
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not CLIRMatrix's index"):
        read_index(path, ["de", "en"], "dev")
    with pytest.raises(ParamError, match="two or more of"):
        clirmatrix_pins(["fi", "de"], "dev", tmp_path, None)
    with pytest.raises(ParamError, match="legal: train, dev, test1, test2"):
        clirmatrix_pins(["en", "de"], "test", tmp_path, None)
