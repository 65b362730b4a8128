"""`graded import`: other people's files become a BEIR folder; bad rows are counted, listed, never silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graded.cli.bring import SHARES, bring, split_of
from graded.errors import DataError, MissingError, ParamError
from graded.sources import beir


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


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
        ("p.csv", "a,b\n1,2\n", "no column for the text"),
        ("p.csv", "text\n", "no usable passage"),
        ("p.json", "{", "no JSON"),
        ("p.json", "{}", "no list 'data'"),
    ],
)
def test_unusable_files_are_one_line(name: str, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        bring(write(name, text), "fi", Path("out"))
    assert not Path("out").exists()


def test_wrong_arguments() -> None:
    with pytest.raises(MissingError):
        bring(Path("absent.csv"), "fi")
    path = write("p.csv", "text\nx\n")
    with pytest.raises(ParamError, match="--lang"):
        bring(path, "../fi")
    with pytest.raises(ParamError, match="need both"):
        bring(path, "fi", queries=path)
    path.write_bytes(b"text\n\xff\n")
    with pytest.raises(DataError, match="broken UTF-8"):
        bring(path, "fi")
