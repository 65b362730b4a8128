"""`graded import`: other people's files become a BEIR folder; bad rows are counted, listed, never silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graded.cli.bring import SHARES, bring, split_of
from graded.errors import DataError, MissingError, ParamError
from graded.sources import beir
from tests.importing import bad_rows, write

pytestmark = pytest.mark.usefixtures("here")


def test_csv_with_queries_and_judgements(capsys: pytest.CaptureFixture[str]) -> None:
    passages = write("p.csv", 'ID,Title,Text\na,T,"one, two"\nb,,three\nb,,again\nc,,\n')
    queries = write("q.csv", "id,query\nq1,what?\n")
    qrels = write("r.csv", "query_id,doc_id,score\nq1,a,3\nq1,b,0\nq1,zzz,1\nq9,a,1\nq1,b,high\n")
    bring(passages, "fi", Path("out"), queries, qrels)
    assert list(beir.passages(Path("out/fi"))) == [("a", "T", "one, two"), ("b", "", "three")]
    assert list(beir.queries(Path("out/fi"))) == [("q1", "what?")]
    judged = {split: list(beir.qrels(Path("out/fi"), split)) for split, _ in SHARES}
    assert judged[split_of("a")] == [("q1", "a", 3), ("q1", "b", 0)]
    assert sum(map(len, judged.values())) == 2
    listed = Path("out/fi.bad.txt").read_text(encoding="utf-8")
    for reason in ("'b' stands twice", "no text", "'zzz' is not among", "'q9' is not among", "'high' is no whole"):
        assert reason in listed
    assert "5 bad rows" in capsys.readouterr().out


def test_jsonl_without_ids_gets_the_same_ones_every_time() -> None:
    passages = write("p.jsonl", '{"text": "yksi"}\n{"text": "kaksi"}\nnot json\n')
    bring(passages, "fi", Path("one"))
    bring(passages, "fi", Path("two"))
    assert list(beir.passages(Path("one/fi"))) == list(beir.passages(Path("two/fi")))
    assert len({row.doc_id for row in beir.passages(Path("one/fi"))}) == 2


def test_squad_is_split_by_article_and_ambiguous_questions_are_listed() -> None:
    articles = [
        {
            "title": f"Article_{n}",
            "paragraphs": [
                {"context": f"text {n} {m}", "qas": [{"id": f"{n}.{m}", "question": f"what {n} {m}?"}]}
                for m in range(3)
            ],
        }
        for n in range(40)
    ]
    articles[0]["paragraphs"].append({"context": "Otsikko [SEP] leipä", "qas": [{"id": "x", "question": "what 1 1?"}]})  # type: ignore[attr-defined]
    articles[0]["paragraphs"].append({"context": "", "qas": []})  # type: ignore[attr-defined]
    bring(write("s.json", json.dumps({"data": articles})), "fi", Path("out"))
    passages = {row.doc_id: row for row in beir.passages(Path("out/fi"))}
    assert passages["0-3"][1:] == ("Otsikko", "leipä")
    assert passages["5-1"][1:] == ("Article 5", "text 5 1")
    splits = {split: list(beir.qrels(Path("out/fi"), split)) for split, _ in SHARES}
    where = {split: {row.doc_id.split("-")[0] for row in rows} for split, rows in splits.items()}
    assert all(where.values())
    assert not where["train"] & where["test"] | where["dev"] & where["test"]
    assert {row.relevance for row in splits["train"]} == {1, 3}
    listed = Path("out/fi.bad.txt").read_text(encoding="utf-8")
    assert listed.count("this text stands twice") == 2
    assert "no text 'context'" in listed


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.txt", "x", "received '.txt'"),
        ("p.csv", "a,b\n1,2\n", "names no column for the text: received 'a, b'"),
        ("p.csv", "", "names no column"),
        ("p.csv.gz", "x", "damaged gzip"),
        ("p.csv", "text\n", "no usable passage"),
        ("p.json", "{", "no JSON"),
        ("p.json", "{}", "no list 'data'"),
    ],
)
def test_unusable_files_are_one_line(name: str, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        bring(write(name, text), "fi", Path("out"))
    assert not Path("out").exists()


def test_white_space_in_ids_is_written_the_same_everywhere() -> None:
    passages = write("p.csv", "id,text\ndoc 1,one\n")
    bring(
        passages,
        "fi",
        Path("out"),
        write("q.csv", "id,text\nq 1,what\n"),
        write("r.csv", "query,passage,score\nq 1,doc 1,2.0\nq 1,doc 1,2\nq 1,doc 1,1.5\n"),
    )
    assert [row.doc_id for row in beir.passages(Path("out/fi"))] == ["doc%201"]
    assert [row for split, _ in SHARES for row in beir.qrels(Path("out/fi"), split)] == [("q%201", "doc%201", 2)]
    assert "judged twice" in bad_rows()
    assert "'1.5' is no whole number" in bad_rows()


def test_squad_two_and_odd_questions_are_listed() -> None:
    qas = [
        {"id": "1", "question": "answered?"}, {"id": "1", "question": "again?"}, {"id": "2", "question": 7}, "x",
        {"id": "3", "question": "unanswerable?", "is_impossible": True},
    ]  # fmt: skip
    bring(write("s.json", json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": qas}]}]})), "fi", Path("out"))
    assert [row.text for row in beir.queries(Path("out/fi"))] == ["answered?", "7"]
    for reason in ("id '1' stands twice", "no text 'question'", "marked as unanswerable"):
        assert reason in bad_rows()


def test_a_second_import_takes_the_place_of_the_first_and_of_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    bring(write("p.csv", "text\none\n\u00a0\n"), "fi", Path("out"))
    assert bad_rows()
    bring(write("p.csv", "text,url,colour\none,u,red\n"), "fi", Path("out"))
    assert bad_rows() == ""
    assert "not used: colour" in capsys.readouterr().out
    Path("other/fi").mkdir(parents=True)
    write("other/fi/thesis.txt", "the only copy")
    with pytest.raises(ParamError, match="name another --out"):
        bring(Path("p.csv"), "fi", Path("other"))
    assert Path("other/fi/thesis.txt").exists()


def test_wrong_arguments() -> None:
    with pytest.raises(MissingError):
        bring(Path("absent.csv"), "fi")
    path = write("p.csv", "text\nx\n")
    with pytest.raises(ParamError, match="--lang"):
        bring(path, "../fi")
    with pytest.raises(ParamError, match="need both"):
        bring(path, "fi", queries=path)
    judged = write("r.csv", "query,score\na,1\n")
    with pytest.raises(DataError, match="no column for the passage: received 'query, score'"):
        bring(path, "fi", queries=path, qrels=judged)
    path.write_bytes(b"text\n\xff\n")
    with pytest.raises(DataError, match="broken UTF-8"):
        bring(path, "fi")


def test_bad_judgements_have_their_line() -> None:
    passages, queries = write("p.csv", "id,text\na,one\n"), write("q.csv", "id,text\nq,what\n")
    bring(passages, "fi", Path("out"), queries, write("r.csv", "query,passage,score\nq,a,1\nq,a,1\nz,a,1\nq,z,1\n"))
    assert [line.partition("\t")[0] for line in bad_rows().splitlines()] == ["r.csv:3", "r.csv:4", "r.csv:5"]


@pytest.mark.parametrize("out", ["p.csv/x", "/proc/foo", "/proc"])
def test_an_impossible_out_is_one_line(out: str) -> None:
    with pytest.raises(ParamError, match=f"--out: received '{out}'"):
        bring(write("p.csv", "text\none\n"), "fi", Path(out))


def test_what_to_set_next(capsys: pytest.CaptureFixture[str]) -> None:
    bring(write("p.csv", "text\none\n\u00a0\n"), "fi", Path("o2"))
    said = capsys.readouterr().out
    assert "1 bad row was left out" in said
    assert "then in params.yaml: languages: [fi], corpus.path: o2, benchmark.path: o2" in said
    bring(Path("p.csv"), "fi")
    assert "corpus.path" not in capsys.readouterr().out
