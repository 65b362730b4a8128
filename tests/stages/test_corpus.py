"""Stage corpus: one Parquet a language, all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.errors import DataError
from graded.formats import table
from graded.stages import corpus
from tests.workspace import write_beir, write_params


@pytest.fixture
def workspace(here: Path) -> Path:
    write_params(here, corpus={"path": "texts"})
    for lang in ("fi", "ar"):
        write_beir(here / "texts" / lang, [("d2", "T", f"{lang} b"), ("d1", "", f"{lang} a")], [], {})
    return here


def test_writes_each_language_in_the_order_of_the_source(workspace: Path) -> None:
    corpus.main()
    assert list(table.read_rows(Path("data/corpus/fi.parquet"))) == [("d2", "T", "fi b"), ("d1", "", "fi a")]
    assert list(table.read_rows(Path("data/corpus/ar.parquet"), "text", "doc_id")) == [("ar b", "d2"), ("ar a", "d1")]


def test_a_mapping_names_the_folders(workspace: Path) -> None:
    write_params(workspace, corpus={"path": "texts", "folder": {"fi": "ar", "ar": "fi"}})
    corpus.main()
    assert next(table.read_rows(Path("data/corpus/fi.parquet"), "text")) == ("ar b",)
    write_params(workspace, corpus={"path": "texts", "folder": {"fi": "fi"}})
    with pytest.raises(DataError, match="no folder for 'ar'"):
        corpus.main()


def test_a_duplicate_id_leaves_nothing_behind(workspace: Path) -> None:
    write_beir(workspace / "texts" / "ar", [("d1", "", "x"), ("d1", "", "y")], [], {})
    with pytest.raises(DataError, match="doc_id stand more than once"):
        corpus.main()
    assert not Path("data/corpus").exists()
    assert [path.name for path in Path("data").iterdir()] == []


def test_an_empty_corpus_is_an_error(workspace: Path) -> None:
    write_beir(workspace / "texts" / "ar", [], [], {})
    with pytest.raises(DataError, match="corpus ar: no passage in texts"):
        corpus.main()
    assert not Path("data/corpus").exists()


@pytest.mark.parametrize("name", ["a b", "a\u2028b", "a\x85", "\u3000a", "a\x1cb"])
def test_white_space_in_an_id_is_refused_before_anything_is_bought(workspace: Path, name: str) -> None:
    write_beir(workspace / "texts" / "ar", [(name, "", "x")], [], {})
    with pytest.raises(DataError, match="1 doc_ids hold white space"):
        corpus.main()
    assert not Path("data/corpus").exists()
