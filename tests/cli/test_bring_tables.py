"""Tables as other programs write them: marks, separators, quotes; a cell that is wrong costs its row alone."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graded.cli.bring import bring
from graded.errors import DataError
from graded.sources import beir
from tests.importing import bad_rows, write

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bom.csv", b"\xef\xbb\xbfid,text\na,one\n"),
        ("semicolon.csv", b"id;title;text\na;;one\n"),
        ("bar.CSV", b'"ID"|"Text"\r\na|one\r\n'),
        ("utf16.csv", "id\ttext\na\tone\n".encode("utf-16")),
        ("spaces.tsv", b" id \t text \na\t one \n\n"),
        ("packed.csv.gz", b"id,text\na,one\n"),
        ("packed.jsonl.gz", b'{"id": "a", "text": "one"}\n'),
        ("number.jsonl", b'{"id": "a", "Text": "one", "n": 1}'),
    ],
)
def test_files_as_other_programs_write_them(name: str, data: bytes) -> None:
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    bring(Path(name), "fi", Path("out"))
    assert list(beir.passages(Path("out/fi"))) == [("a", "", "one")]
    assert bad_rows() == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,text\na,one\nb,two, three\n", "3 fields, the header has 2: a ',' that is not between quotes?"),
        ("id,text\na,one\nb\n", "1 field, the header has 2"),
        ("id,text\na,one\nb,   \n", "no text"),
        ("text\none\none\n", "this text stands twice"),
    ],
)
def test_a_row_that_does_not_fit_is_listed_not_cut(text: str, why: str) -> None:
    bring(write("p.csv", text), "fi", Path("out"))
    assert [row.text for row in beir.passages(Path("out/fi"))] == ["one"]
    assert bad_rows().count("\n") == 1
    assert why in bad_rows()


def test_only_text_and_numbers_are_text() -> None:
    rows = ['{"id": 1, "text": "a", "title": {"x": 1}}', '{"text": ["a"]}', '{"text": true}', '{"text": "b\\ud800"}']
    bring(write("p.jsonl", "\n".join(rows)), "fi", Path("out"))
    assert [row[1:] for row in beir.passages(Path("out/fi"))] == [("", "a"), ("", "b\ufffd")]
    assert bad_rows().count("no text") == 2


def test_a_passage_of_a_megabyte_and_one_after_it() -> None:
    bring(write("p.csv", 'id,text\na,"' + "sana " * 210_000 + '"\nb,x\n'), "fi", Path("out"))
    assert [len(row.text) for row in beir.passages(Path("out/fi"))] == [1_049_999, 1]


def with_open_quote(separator: str, at: int, cell: str) -> str:
    """A table of 1,000 rows, the one of line ``at`` with ``cell`` as its text."""
    rows = [f"d{n}{separator}text {n}" for n in range(1000)]
    rows[at - 2] = f"d{at - 2}{separator}{cell}"
    return "\n".join([f"id{separator}text", *rows]) + "\n"


@pytest.mark.parametrize(
    ("cell", "more", "why"),
    [
        ('"never closed', "", 'a " that is never closed'),
        ('"closed', '\nx,"quoted, later"\n', 'a " that stands inside a quoted cell and is not doubled'),
        ('"closed', '\nx,a screen of 24"\n', 'a " that takes in the rows below it'),
    ],
    ids=["end", "quoted", "inch"],
)
def test_an_open_quote_costs_its_row_alone(cell: str, more: str, why: str) -> None:
    bring(write("p.csv", with_open_quote(",", 6, cell) + more.lstrip("\n")), "fi", Path("out"))
    assert len(list(beir.passages(Path("out/fi")))) == 999 + bool(more)
    assert bad_rows() == f"p.csv:6\t{why}\n"


@pytest.mark.parametrize("cell", ['"never closed', '"Yes," he said', '"closed by the next\nnext\tone"'])
def test_a_quote_in_a_tsv_is_a_quote(cell: str) -> None:
    bring(write("p.tsv", with_open_quote("\t", 6, cell)), "fi", Path("out"))
    texts = [row.text for row in beir.passages(Path("out/fi"))]
    assert texts[4] == cell.partition("\n")[0]
    assert len(texts) == 1000 + ("\n" in cell)
    assert bad_rows() == ""


@pytest.mark.parametrize("name", ["p.csv", "p.tsv"])
def test_a_quoted_cell_may_have_lines(name: str) -> None:
    gap = "," if name == "p.csv" else "\t"
    text = f'id{gap}text\na{gap}"one, ""1""\n\nYes, two\nNo"\n\nb{gap}"three"\nc\n'
    bring(write(name, text), "fi", Path("out"))
    assert [row.text for row in beir.passages(Path("out/fi"))] == ['one, "1"\n\nYes, two\nNo', "three"]
    assert bad_rows().startswith(f"{name}:8\t1 field")


def test_a_first_line_without_end_is_one_line() -> None:
    with pytest.raises(DataError, match="names no column"):
        bring(write("p.csv", "x" * 200_000), "fi", Path("out"))
