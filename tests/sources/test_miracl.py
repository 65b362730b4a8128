"""MIRACL's hub layout, whole and damaged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError
from graded.formats import table
from graded.sources import miracl
from graded.stages import benchmark, corpus
from tests.workspace import write_params

ROWS = [
    {"docid": f"{number}#{number % 3}", "title": "Otsikko" * (number % 2), "text": f'teksti «{number}» "x"\t'}
    for number in range(40)
]


def pack(path: Path, rows: list[dict[str, str]], *, joint: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress((joint.join(json.dumps(row) for row in rows) + "\n").encode()))


@pytest.fixture
def hub(here: Path) -> Path:
    # Eleven shards: docs-10 comes after docs-9, not after docs-1.
    for number in range(11):
        pack(here / f"hub/miracl-corpus-v1.0-xx/docs-{number}.jsonl.gz", ROWS[number * 3 : number * 3 + 3])
    home = here / "hub/miracl-v1.0-xx"
    (home / "topics").mkdir(parents=True)
    (home / "qrels").mkdir()
    (home / "topics/topics.miracl-v1.0-xx-dev.tsv").write_text('1#a\tKuka "hän" on?\n2\tMikä\n3\tei mitään\n')
    (home / "qrels/qrels.miracl-v1.0-xx-dev.tsv").write_text(
        "1#a\tQ0\t3#0\t1\n1#a\tQ0\t4#1\t0\n2\tQ0\t30#0\t1\n3\tQ0\t5#2\t0\n"
    )
    return here / "hub"


def shard(hub: Path, number: int) -> Path:
    return hub / f"miracl-corpus-v1.0-xx/docs-{number}.jsonl.gz"


def test_the_corpus_in_the_order_of_the_shards(hub: Path) -> None:
    assert miracl.write_passages(hub, "xx", Path("xx.parquet")) == 33
    expected = [(row["docid"], row["title"], row["text"]) for row in ROWS[:33]]
    assert list(table.read_rows(Path("xx.parquet"))) == expected


def test_blank_lines_and_two_gzip_members(hub: Path) -> None:
    pack(shard(hub, 0), ROWS[:3], joint="\n\n  \n")
    shard(hub, 1).write_bytes(shard(hub, 1).read_bytes() + gzip.compress((json.dumps(ROWS[35]) + "\n").encode()))
    assert miracl.write_passages(hub, "xx", Path("xx.parquet")) == 34


def test_both_stages_read_it(hub: Path) -> None:
    write_params(
        Path(),
        languages=["xx"],
        corpus={"source": "miracl", "path": "hub"},
        benchmark={"path": ".", "sets": {"miracl": {"source": "miracl", "folder": "hub", "split": "dev"}}},
    )
    corpus.main()
    benchmark.main()
    home = Path("data/benchmark/miracl/xx-xx")
    assert list(table.read_rows(home / "queries.parquet")) == [("1#a", 'Kuka "hän" on?'), ("2", "Mikä")]
    expected = [("1#a", "3#0", 1), ("1#a", "4#1", 0), ("2", "30#0", 1)]
    assert list(table.read_rows(home / "qrels.parquet")) == expected


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))


def lines(path: Path, *texts: str) -> None:
    path.write_bytes(gzip.compress("\n".join(texts).encode()))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (cut, r"docs-2\.jsonl\.gz: damaged gzip .* fetch the file again"),
        (flip, r"docs-2\.jsonl\.gz: damaged gzip .*CRC"),
        (lambda path: lines(path, json.dumps(ROWS[0]), "{oops"), r"docs-2\.jsonl\.gz:2: no JSON"),
        (lambda path: lines(path, "", '{"docid": "1"}'), r"docs-2\.jsonl\.gz:2: 'text' is None"),
        (lambda path: lines(path, '{"title": "a", "text": "b"}'), r"docs-2\.jsonl\.gz:1: 'docid' is None"),
        (lambda path: lines(path, '{"docid": "", "text": "b"}'), r"docs-2\.jsonl\.gz:1: 'docid' is ''"),
        (lambda path: path.unlink(), r"lacks 1 of 11 shards, the first docs-2\.jsonl\.gz; .*graded fetch miracl"),
    ],
)
def test_a_damaged_corpus_is_one_line(hub: Path, damage: object, named: str) -> None:
    assert callable(damage)
    damage(shard(hub, 2))
    with pytest.raises((DataError, MissingError), match=named) as caught:
        miracl.write_passages(hub, "xx", Path("xx.parquet"))
    assert "\n" not in str(caught.value)
    assert not Path("xx.parquet").exists()


def test_a_duplicate_id_is_named(hub: Path) -> None:
    pack(shard(hub, 5), [ROWS[1], {"docid": "new", "text": "x"}])
    write_params(Path(), languages=["xx"], corpus={"source": "miracl", "path": "hub"})
    with pytest.raises(DataError, match=r"xx: 1 values of doc_id stand more than once, the first 1#1; keep one"):
        corpus.main()


def test_fewer_shards_than_published(hub: Path) -> None:
    shard(hub, 0).parent.rename(hub / "miracl-corpus-v1.0-fi")
    (hub / "miracl-corpus-v1.0-fi/docs-3.jsonl.gz").unlink()
    with pytest.raises(MissingError, match=r"lacks 1 of 4 shards, the first docs-3"):
        miracl.shards(hub, "fi")
    kept = [f"docs-{number}.jsonl.gz" for number in range(3)]
    for number in range(4, 11):
        (hub / f"miracl-corpus-v1.0-fi/docs-{number}.jsonl.gz").unlink()
    assert [path.name for path in miracl.shards(hub, "fi", partial=True)] == kept


def test_damaged_topics_and_qrels_are_one_line(hub: Path) -> None:
    home = hub / "miracl-v1.0-xx"
    with pytest.raises(MissingError, match="splits there: dev"):
        list(miracl.queries(hub, "xx", "test-a"))
    with pytest.raises(MissingError, match="graded fetch miracl --part topics --languages yy"):
        list(miracl.qrels(hub, "yy", "dev"))
    (home / "topics/topics.miracl-v1.0-xx-dev.tsv").write_text("1\tyksi\n\n2 kaksi\n")
    with pytest.raises(DataError, match=r"dev\.tsv:3: 1 column, expected 2: query_id<tab>text"):
        list(miracl.queries(hub, "xx", "dev"))
    (home / "qrels/qrels.miracl-v1.0-xx-dev.tsv").write_text("1\tQ0\t3#0\n")
    with pytest.raises(DataError, match=r"dev\.tsv:1: 3 fields, expected 4"):
        list(miracl.qrels(hub, "xx", "dev"))
