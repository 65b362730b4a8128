"""The BEIR reader on good, gzipped and damaged folders."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError
from graded.sources import beir
from tests.workspace import write_beir, write_jsonl


def folder(tmp_path: Path) -> Path:
    write_beir(
        tmp_path,
        [("d 1", "Otsikko", "teksti"), ("d2", "", "عربي")],
        [("q1", "kysymys")],
        {"test": [("q1", "d 1", 3), ("q1", "d2", 0)]},
    )
    return tmp_path


def test_reads_plain_and_gzipped_alike(tmp_path: Path) -> None:
    plain = folder(tmp_path / "plain")
    packed = folder(tmp_path / "packed")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        (packed / f"{name}.gz").write_bytes(gzip.compress((packed / name).read_bytes()))
        (packed / name).unlink()
    assert (
        list(beir.passages(plain)) == list(beir.passages(packed)) == [("d 1", "Otsikko", "teksti"), ("d2", "", "عربي")]
    )
    assert list(beir.queries(plain)) == list(beir.queries(packed)) == [("q1", "kysymys")]
    assert list(beir.qrels(plain, "test")) == list(beir.qrels(packed, "test")) == [("q1", "d 1", 3), ("q1", "d2", 0)]


def test_a_missing_title_is_empty_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('\n{"_id": "1", "text": "a"}\n\n', encoding="utf-8")
    assert list(beir.passages(tmp_path)) == [("1", "", "a")]


def test_an_unpaired_surrogate_becomes_the_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "a\\ud800b \\ud83d\\ude00"}\n', encoding="utf-8")
    assert list(beir.passages(tmp_path)) == [("1", "", "a\ufffdb 😀")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"_id": "1", "text": ', "no JSON"),
        (b"[1, 2]", "received list"),
        (b'{"text": "a"}', "'_id' is None"),
        (b'{"_id": "", "text": "a"}', "non-empty"),
        (b'{"_id": true, "text": "a"}', "'_id' is True"),
        (b'{"_id": 1.5, "text": "a"}', "'_id' is 1.5"),
        (b'{"_id": "1", "text": 5}', "'text' is 5"),
        (b'{"_id": "1", "text": "\xff"}', "broken UTF-8"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, says: str) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b'{"_id": "0", "text": "good"}\n' + line + b"\n")
    with pytest.raises(DataError, match=says) as error:
        list(beir.passages(tmp_path))
    assert "corpus.jsonl:2" in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_gzip_names_the_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "corpus.jsonl", [{"_id": str(n), "text": "x" * 50 + str(n)} for n in range(999)])
    packed = gzip.compress((tmp_path / "corpus.jsonl").read_bytes())
    (tmp_path / "corpus.jsonl").unlink()
    (tmp_path / "corpus.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"corpus\.jsonl\.gz: damaged gzip"):
        list(beir.passages(tmp_path))


def test_a_missing_split_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="splits there: test"):
        list(beir.qrels(folder(tmp_path), "dev"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("q1\td1", "2 columns"),
        ("q1\td1\thigh", "no whole number"),
        ("q1\td1\t1.5", "no whole number"),
        ("q1\td1\tinf", "no whole number"),
    ],
)
def test_a_bad_judgement_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = folder(tmp_path) / "qrels" / "test.tsv"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=says) as error:
        list(beir.qrels(tmp_path, "test"))
    assert "test.tsv:4" in str(error.value)


@pytest.mark.parametrize(
    "header",
    ["", "query_id\tdoc_id\trelevance\n", "query_id doc_id relevance\n", "query-id\tcorpus-id\tscore \t\n"],
)
def test_a_header_in_any_words_is_skipped_and_a_first_judgement_never(tmp_path: Path, header: str) -> None:
    path = folder(tmp_path) / "qrels" / "test.tsv"
    path.write_text(header + "q1\td 1\t3\nq1\td2\t0\n", encoding="utf-8")
    assert list(beir.qrels(tmp_path, "test")) == [("q1", "d 1", 3), ("q1", "d2", 0)]


def test_whole_floats_are_grades_and_numbers_are_ids(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": 17, "text": "a"}\n', encoding="utf-8")
    assert list(beir.passages(tmp_path)) == [("17", "", "a")]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("5\t17\t1.0\n5\t18\t0.0\n", encoding="utf-8")
    assert list(beir.qrels(tmp_path, "test")) == [("5", "17", 1), ("5", "18", 0)]
