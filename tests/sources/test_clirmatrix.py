"""CLIRMatrix MULTI-8's layout, whole and damaged, under both protocols."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError, ParamError
from graded.formats import table
from graded.records import Direction
from graded.sources import clirmatrix
from graded.stages import benchmark
from tests.workspace import write_params

DE_EN = [
    {"src_id": "7", "src_query": "Haus", "tgt_results": [["1", 6], ["2", 0], ["3", 2]]},
    {"src_id": "8", "src_query": "Baum", "tgt_results": [["3", 5], ["1", 0]]},
    {"src_id": "9", "src_query": "nichts", "tgt_results": [["2", 0]]},
]


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def folder(here: Path) -> Path:
    home = here / "clir"
    pack(home / "docs/en.tsv.gz", "".join(f'{number}\tdocument "{number}\n' for number in range(1, 6)))
    pack(home / "docs/de.tsv.gz", "1\tein\n2\tzwei\n")
    pack(home / "queries/de_en/test1.jsonl.gz", "\n\n".join(json.dumps(row) for row in DE_EN) + "\n\n")
    row = {"src_id": "4", "src_query": "tree", "tgt_results": [["2", 6]]}
    pack(home / "queries/en_de/test1.jsonl.gz", json.dumps(row) + "\n")
    return home


def choose(**one: object) -> None:
    one = {"source": "clirmatrix", "folder": "clir", "split": "test1"} | one
    write_params(Path(), languages=["de", "en"], benchmark={"path": ".", "sets": {"clir": one}})


def record() -> dict[str, object]:
    value: dict[str, object] = json.loads(Path("data/benchmark/clir/benchmark.json").read_text(encoding="utf-8"))
    return value


def test_the_whole_collection(folder: Path) -> None:
    choose(gain="both")
    benchmark.main()
    assert record()["protocol"] == "collection"
    assert record()["gain"] == "both"
    assert record()["directions"] == [
        {"query_lang": "de", "doc_lang": "en", "corpus": "data/benchmark/clir/corpus/en.parquet"},
        {"query_lang": "en", "doc_lang": "de", "corpus": "data/benchmark/clir/corpus/de.parquet"},
    ]
    assert next(table.read_rows(Path("data/benchmark/clir/corpus/en.parquet"))) == ("1", "", 'document "1')
    assert table.count_rows(Path("data/benchmark/clir/corpus/en.parquet")) == 5
    home = Path("data/benchmark/clir/de-en")
    assert list(table.read_rows(home / "queries.parquet")) == [("7", "Haus"), ("8", "Baum")]
    assert list(table.read_rows(home / "qrels.parquet"))[:3] == [("7", "1", 6), ("7", "2", 0), ("7", "3", 2)]


def test_listed_documents_alone(folder: Path) -> None:
    choose(protocol="listed")
    benchmark.main()
    assert record()["protocol"] == "listed"
    assert [row[0] for row in table.read_rows(Path("data/benchmark/clir/corpus/en.parquet"))] == ["1", "2", "3"]


def test_both_protocols_and_all_splits_have_one_corpus(folder: Path) -> None:
    """Listed documents are ranked in the collection's own files, so that these are encoded once for both."""
    for direction in ("de_en", "en_de"):
        pack(folder / f"queries/{direction}/dev.jsonl.gz", json.dumps(DE_EN[1] | {"tgt_results": [["2", 1]]}) + "\n")
    one = {"source": "clirmatrix", "folder": "clir", "split": "test1"}
    sets = {"listed": one | {"protocol": "listed"}, "clir": one, "dev": one | {"split": "dev", "role": "dev"}}
    write_params(Path(), languages=["de", "en"], benchmark={"path": ".", "sets": sets})
    benchmark.main()
    home = Path("data/benchmark")
    records = [json.loads((home / name / "benchmark.json").read_text(encoding="utf-8")) for name in sets]
    assert [record["protocol"] for record in records] == ["listed", "collection", "collection"]
    assert [record["directions"] for record in records] == [records[1]["directions"]] * 3
    assert sorted(home.glob("*/corpus")) == [home / "clir/corpus"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("[1]", ":1: received list, expected an object"),
        ('{"src_query": "a", "tgt_results": []}', "'src_id' is None"),
        ('{"src_id": "1", "tgt_results": []}', "'src_query' is None"),
        ('{"src_id": "1", "src_query": "a"}', "'tgt_results' is None"),
        ('{"src_id": "1", "src_query": "a", "tgt_results": [["d"]]}', r"a result is \['d'\]"),
        ('{"src_id": "1", "src_query": "a", "tgt_results": [["d", 7]]}', "grade 7 of 'd'; legal: 0 to 6"),
        ('{"src_id": "1", "src_query": "a", "tgt_results": [["d", 1.5]]}', "grade 1.5 is no whole number"),
    ],
)
def test_a_bad_line_is_named(folder: Path, line: str, named: str) -> None:
    pack(folder / "queries/de_en/test1.jsonl.gz", line + "\n")
    with pytest.raises(DataError, match=named) as caught:
        list(clirmatrix.listings(folder, Direction("de", "en"), "test1"))
    assert "test1.jsonl.gz:1" in str(caught.value)


def test_truncated_gzip_and_short_rows(folder: Path) -> None:
    for path in (folder / "queries/de_en/test1.jsonl.gz", folder / "docs/en.tsv.gz"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        choose()
        with pytest.raises(DataError, match=rf"{path.name}: damaged gzip .*fetch the file again"):
            benchmark.main()
        path.write_bytes(whole)
    pack(folder / "docs/en.tsv.gz", "1\tone\n\n2\n")
    with pytest.raises(DataError, match=r"en\.tsv\.gz:3: 1 column, expected 2: doc_id<tab>text"):
        benchmark.main()
    assert not Path("data/benchmark").exists()


def test_duplicate_and_unknown_ids(folder: Path) -> None:
    choose()
    pack(folder / "docs/en.tsv.gz", "1\tone\n1\tuno\n")
    with pytest.raises(DataError, match="doc_id stand more than once"):
        benchmark.main()
    pack(folder / "docs/en.tsv.gz", "1\tone\n2\ttwo\n")
    with pytest.raises(DataError, match=r"benchmark clir de-en: 2 judgements name passages .* the first '3'"):
        benchmark.main()


def test_what_is_not_there(folder: Path) -> None:
    choose(split="test2")
    with pytest.raises(MissingError, match="graded fetch clirmatrix --split test2"):
        benchmark.main()
    (folder / "docs/de.tsv.gz").unlink()
    choose()
    with pytest.raises(MissingError, match="graded fetch clirmatrix --languages de"):
        benchmark.main()
    choose(folder={"de": "clir"})
    with pytest.raises(ParamError, match="one folder for all languages"):
        benchmark.main()
