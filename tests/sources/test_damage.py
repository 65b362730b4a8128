"""Files that are not what they should be, of each source, through the stages corpus and benchmark.

Each ends in one line that names the file, and leaves neither data nor temporary files; what can be read is read.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graded.errors import GradedError
from graded.formats import table
from graded.stages import benchmark, corpus
from tests.workspace import write_beir, write_params

pytestmark = pytest.mark.usefixtures("here")

BOM = b"\xef\xbb\xbf"
SHARD = "hub/miracl-corpus-v1.0-xx/docs-1.jsonl.gz"
TOPICS = "hub/miracl-v1.0-xx/topics/topics.miracl-v1.0-xx-dev.tsv"
QRELS = "hub/miracl-v1.0-xx/qrels/qrels.miracl-v1.0-xx-dev.tsv"
LISTED = "clir/queries/de_en/test1.jsonl.gz"
ENTRY = {"src_id": "7", "src_query": "Haus", "tgt_results": [["1", 6], ["2", 0]]}


def write(name: str, content: bytes) -> None:
    """Write ``content``, gzipped where the name ends so."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def rows(*some: Any) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in some).encode()


def miracl() -> dict[str, Any]:
    for number in range(3):
        write(
            f"hub/miracl-corpus-v1.0-xx/docs-{number}.jsonl.gz",
            rows(*({"docid": f"{number}#{place}", "title": "T", "text": "teksti"} for place in range(3))),
        )
    write(TOPICS, b"1\tKuka\n2\tMiss\xc3\xa4\n")
    write(QRELS, b"1\tQ0\t0#0\t1\n2\tQ0\t2#1\t1\n")
    return {"source": "miracl", "folder": "hub", "split": "dev"}


def clirmatrix() -> dict[str, Any]:
    for lang in ("de", "en"):
        write(f"clir/docs/{lang}.tsv.gz", b"1\tone\n2\ttwo\n")
    for name in ("de_en", "en_de"):
        write(f"clir/queries/{name}/test1.jsonl.gz", rows(ENTRY))
    return {"source": "clirmatrix", "folder": "clir", "split": "test1"}


def beir() -> dict[str, Any]:
    write_beir(Path("xx"), [("d1", "T", "x"), ("d2", "", "y")], [("q1", "kuka")], {"test": [("q1", "d1", 1)]})
    return {"source": "beir"}


def trec() -> dict[str, Any]:
    write("xx/corpus.tsv", b"d1\tT\tone\nd2\ttwo\n")
    write("xx/topics.test.tsv", b"q1\twhat\n")
    write("xx/qrels.test.txt", b"q1 0 d1 2\n")
    return {"source": "trec"}


def stages(one: dict[str, Any]) -> None:
    """Run what a source has: both stages, or the benchmark alone where it brings its own corpus."""
    langs = ["de", "en"] if one["source"] == "clirmatrix" else ["xx"]
    own = {"source": one["source"], "path": one.get("folder", ".")}
    write_params(Path(), languages=langs, corpus=own, benchmark={"path": ".", "sets": {"s": one}})
    if one["source"] != "clirmatrix":
        corpus.main()
    benchmark.main()


Source = Callable[[], dict[str, Any]]

#: source, file, its new content (None: it is gone), what the line says.
DAMAGE: dict[str, tuple[Source, str, bytes | None, str]] = {
    "shard empty": (miracl, SHARD, b"", r"docs-1\.jsonl\.gz: empty, where"),
    "shard a list": (miracl, SHARD, b"[1]\n", r"docs-1\.jsonl\.gz:1: received list"),
    "shard broken UTF-8": (miracl, SHARD, rows({}) + b'{"docid": "\xff"}', r"docs-1\.jsonl\.gz:1: 'docid' is None"),
    "shard two a line": (miracl, SHARD, b'{"docid": "a", "text": "x"} {"docid": "b"}\n', ":1: no JSON"),
    "shard gone": (miracl, SHARD, None, r"lacks 1 of 3 shards, the first docs-1.*graded fetch miracl"),
    "shard id with a space": (miracl, SHARD, rows({"docid": "a b", "text": "x"}), "corpus xx: 1 doc_ids .* 'a b'"),
    "shard id twice": (miracl, SHARD, rows({"docid": "0#0", "text": "x"}), "corpus xx: 1 values of doc_id"),
    "topics gone": (miracl, TOPICS, None, "no hub/.*graded fetch miracl --part topics"),
    "topics empty": (miracl, TOPICS, b"", "2 judgements name queries that are not there"),
    "topics no id": (miracl, TOPICS, b"\tKuka\n", r"dev\.tsv:1: the query_id is empty"),
    "topics twice": (miracl, TOPICS, b"1\ta\n1\tb\n2\tc\n", "benchmark s xx queries: 1 values of query_id"),
    "qrels empty": (miracl, QRELS, b"", "no query of split 'dev' .* graded fetch miracl"),
    "qrels twice": (miracl, QRELS, b"1\t0\t0#0\t1\n1\t0\t0#0\t0\n", "benchmark s xx qrels: 1 values"),
    "qrels unknown": (miracl, QRELS, b"1\t0\t9#9\t1\n", "1 judgement names passages .* '9#9'"),
    "qrels too large": (miracl, QRELS, b"1\t0\t0#0\t9999999999\n", r"dev\.tsv:1: relevance '9999999999' is out of"),
    "documents empty": (clirmatrix, "clir/docs/en.tsv.gz", b"", "benchmark s: no passage in 'en'"),
    "document id with a space": (clirmatrix, "clir/docs/en.tsv.gz", b"1\ta\n2\tb\n3 3\tc\n", "s corpus en: 1 doc_ids"),
    "document three columns": (clirmatrix, "clir/docs/en.tsv.gz", b"1\ta\tb\n", r"en\.tsv\.gz:1: 3 columns"),
    "listing empty": (clirmatrix, LISTED, b"", "no query of split 'test1' .* graded fetch clirmatrix"),
    "query id with a space": (clirmatrix, LISTED, rows({**ENTRY, "src_id": "7 7"}), "s de-en queries: 1 query_ids"),
    "query twice": (clirmatrix, LISTED, rows(ENTRY, ENTRY), "s de-en queries: 1 values of query_id"),
    "result twice": (clirmatrix, LISTED, rows({**ENTRY, "tgt_results": [["1", 6]] * 2}), "s de-en qrels: 1 values"),
    "passages empty": (beir, "xx/corpus.jsonl", b"", "corpus xx: no passage in"),
    "score too large": (beir, "xx/qrels/test.tsv", b"q1\td1\t9999999999\n", r"test\.tsv:1: score .* out of range"),
    "score no number": (
        beir,
        "xx/qrels/test.tsv",
        b"q1\td1\t1\na\tb\trelevance\n",
        "score 'relevance' is no whole number",
    ),
    "other language's folder": (beir, "xx/corpus.jsonl", None, r"no corpus\.jsonl or corpus\.jsonl\.gz in xx"),
    "topic no id": (trec, "xx/topics.test.tsv", b"\twhat\n", r"topics\.test\.tsv:1: the query_id is empty"),
    "judgement too large": (trec, "xx/qrels.test.txt", b"q1 0 d1 -9999999999\n", "relevance '-9999999999' is out of"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_one_line_and_nothing_left(here: Path, name: str) -> None:
    source, path, content, says = DAMAGE[name]
    one = source()
    if content is None:
        Path(path).unlink()
    else:
        write(path, content)
    with pytest.raises(GradedError, match=says) as caught:
        stages(one)
    assert "\n" not in str(caught.value)
    assert not Path("data/benchmark").exists()
    assert not list(here.rglob("*.tmp"))


@pytest.mark.parametrize("raw", [b"", b"\x1f\x8b", b"<html>sign in</html>"], ids=["nothing", "two bytes", "a page"])
def test_a_shard_that_never_came_is_named(raw: bytes) -> None:
    one = miracl()
    Path(SHARD).write_bytes(raw)
    with pytest.raises(GradedError, match=r"docs-1\.jsonl\.gz: (empty|damaged gzip)"):
        stages(one)
    assert not Path("data/corpus").exists()


def test_a_folder_is_no_shard() -> None:
    one = miracl()
    Path(SHARD).unlink()
    Path(SHARD).mkdir()
    with pytest.raises(GradedError, match="lacks 1 of 3 shards"):
        stages(one)


def test_what_duckdb_does_not_read_is_read_all_the_same() -> None:
    """A byte-order mark, Windows line ends, half a surrogate."""
    one = miracl()
    write(SHARD, BOM + b'{"docid": "a", "text": "x\\ud800"}\r\n\r\n{"docid": "b", "title": null, "text": "y"}\r\n')
    stages(one)
    found = list(table.read_rows(Path("data/corpus/xx.parquet")))
    assert found[3:5] == [("a", "", "x\ufffd"), ("b", "", "y")]
    assert len(found) == 8


@pytest.mark.parametrize("source", [miracl, clirmatrix, beir, trec])
def test_windows_files_are_read_as_others(source: Source) -> None:
    one = source()
    stages(one)
    paths = [path for path in Path().rglob("*") if path.is_file() and path.suffix in (".tsv", ".txt", ".jsonl", ".gz")]
    before = {path: list(table.read_rows(path)) for path in Path("data").rglob("*.parquet")}
    for path in paths:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        write(str(path), BOM + text.replace(b"\n", b"\r\n"))
    stages(one)
    assert {path: list(table.read_rows(path)) for path in before} == before
    assert before


def test_directions_without_a_file_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    one = clirmatrix()
    Path(LISTED).unlink()
    stages(one)
    assert "benchmark s: no file of 1 direction, left out: de-en" in capsys.readouterr().out
    assert [path.name for path in sorted(Path("data/benchmark/s").iterdir())] == ["benchmark.json", "corpus", "en-de"]


def test_queries_without_text_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    one = miracl()
    write(TOPICS, b"1\t\n2\tMika\n")
    stages(one)
    assert "benchmark s xx: 1 query has no text, the first '1'" in capsys.readouterr().out
