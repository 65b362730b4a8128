"""`graded import`: CSV, JSONL or SQuAD files become a BEIR folder, split by document, bad rows counted and listed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from graded import params
from graded.console import say
from graded.errors import DataError, ParamError, many
from graded.formats.atomic import atomic_folder, raise_disk, write_text
from graded.sources import foreign
from graded.sources.columns import unused
from graded.sources.foreign import Bad, Judged, Row
from graded.sources.opened import kind_of

T = TypeVar("T", Row, Judged)

#: What `graded profile own-data` reads.
HOME = Path("data/beir")

#: Of 100 documents, how many go to train, dev and test; by hash, so that adding documents moves none.
SHARES = (("train", 60), ("dev", 20), ("test", 20))


def bring(
    passages: Annotated[Path, typer.Argument(help="Passages as .csv, .tsv or .jsonl, or a SQuAD-format .json.")],
    lang: Annotated[str, typer.Option(help="Language code, such as fi.")],
    out: Annotated[Path, typer.Option(help="Folder to make: OUT/LANG in BEIR layout.")] = HOME,
    queries: Annotated[Path | None, typer.Option(help="Queries of all splits, same formats.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements: query, passage, score.")] = None,
) -> None:
    """Turn your own files into a BEIR folder that corpus and benchmark read.

    Columns that are understood: id, title, text, document (what must stay in one split); query_id, doc_id, score. Files
    may be gzipped. Rows that cannot be used are counted, and listed in OUT/LANG.bad.txt.

    Example: graded import passages.csv --lang fi --queries queries.csv --qrels qrels.csv
    """
    if not params.is_language(lang):
        raise ParamError(f"--lang: received {lang!r}; expected a code of two or three small letters, such as fi")
    if (queries is None) != (qrels is None):
        raise ParamError("--queries and --qrels: received one of them; judged queries need both")
    bad: list[Bad] = []
    target = out / lang
    if target.exists() and not (target / "corpus.jsonl").is_file():
        raise ParamError(f"--out: {target} is there and is no folder that graded import made; name another --out")
    if kind_of(passages) == ".json":
        if queries is not None:
            raise ParamError(
                "--queries: a SQuAD-format file carries its own questions; leave --queries and --qrels out"
            )
        texts, asked, judged = from_squad(passages, bad)
    else:
        texts = _good(foreign.rows(passages), bad)
        asked = _good(foreign.rows(queries), bad) if queries else []
        judged = from_table(qrels, texts, asked, bad) if qrels else []
    if not texts:
        raise DataError(
            f"{passages}: no usable passage; {many(len(bad), 'bad row')}, "
            + (f"the first: {bad[0].where}: {bad[0].why}" if bad else "it has no row")
        )
    say_unused(passages, queries, qrels)
    listing = out / f"{lang}.bad.txt"
    with possible(out):
        per_split = write_beir(target, texts, asked, judged)
        if bad:
            write_text(listing, "".join(f"{where}\t{why}\n" for where, why in bad))
        else:
            listing.unlink(missing_ok=True)
    say(f"{target}: {many(len(texts), 'passage')}, {many(len(asked), 'query')}, {many(len(judged), 'judgement')}")
    if judged:
        say("judged queries: " + ", ".join(f"{count:,} {name}" for name, count in per_split.items()))
    if bad:
        say(
            f"{many(len(bad), 'bad row', 'were')} left out, listed in {listing};"
            f" the first: {bad[0].where}: {bad[0].why}"
        )
    paths = "" if out == HOME else f", corpus.path: {out}, benchmark.path: {out}"
    say(f"next: dvc add {out}; graded profile own-data (docs/own-data.md)")
    say(f"then in params.yaml: languages: [{lang}]{paths}")


@contextmanager
def possible(out: Path) -> Iterator[None]:
    """Turn what the system says of an impossible folder into one line; a full or read-only disk has its own."""
    try:
        yield
    except OSError as error:
        raise_disk(out, error)
        raise ParamError(f"--out: received {str(out)!r}: {error.strerror or error}; name a folder") from None


def say_unused(*paths: Path | None) -> None:
    """Name the columns that nothing is read from."""
    for path in paths:
        names = unused(path) if path else []
        if names:
            say(f"{path}: columns not used: {', '.join(names)}")


def from_squad(path: Path, bad: list[Bad]) -> tuple[list[Row], list[Row], list[Judged]]:
    """Return passages, queries and judgements: 3 for a question's own paragraph, 1 for others of its article.

    A question text that stands twice is ambiguous: every copy is left out and listed.
    """
    texts: list[Row] = []
    asked: list[tuple[Row, str]] = []
    for one in foreign.squad(path):
        if isinstance(one, Bad):
            bad.append(one)
        else:
            texts.append(one[0])
            asked.extend((question, one[0].id) for question in one[1])
    times: dict[str, int] = {}
    for question, _ in asked:
        times[question.text] = times.get(question.text, 0) + 1
    bad.extend(Bad(f"{path}: question {row.id}", "this text stands twice") for row, _ in asked if times[row.text] > 1)
    kept = [(row, home) for row, home in asked if times[row.text] == 1]
    siblings: dict[str, list[str]] = {}
    for text in texts:
        siblings.setdefault(text.document, []).append(text.id)
    judged = [
        Judged(row.id, doc_id, 3 if doc_id == home else 1) for row, home in kept for doc_id in siblings[row.document]
    ]
    return texts, [row for row, _ in kept], judged


def from_table(path: Path, texts: list[Row], asked: list[Row], bad: list[Bad]) -> list[Judged]:
    """Return the judgements of ``path`` whose query and passage are known, each once; the others go to ``bad``."""
    known, queries = {row.id for row in texts}, {row.id for row in asked}
    judged = []
    seen: set[tuple[str, str]] = set()
    for one in _good(foreign.judgements(path), bad):
        if one.query_id not in queries:
            bad.append(Bad(one.where, f"query {one.query_id!r} is not among the queries"))
        elif one.doc_id not in known:
            bad.append(Bad(one.where, f"passage {one.doc_id!r} is not among the passages"))
        elif one[:2] in seen:
            bad.append(Bad(one.where, f"query {one.query_id!r} and passage {one.doc_id!r} are judged twice"))
        else:
            seen.add(one[:2])
            judged.append(one)
    return judged


def split_of(document: str) -> str:
    """Return ``train``, ``dev`` or ``test`` of a document, by hash."""
    point = int(hashlib.sha256(document.encode("utf-8", "replace")).hexdigest(), 16) % 100
    for name, share in SHARES:
        if point < share:
            return name
        point -= share
    raise AssertionError("the shares sum to 100")


def shared(texts: list[Row]) -> list[Row]:
    """Return the passages that are not the only one of their document."""
    times = Counter(row.document for row in texts)
    return [row for row in texts if times[row.document] > 1]


def write_beir(folder: Path, texts: list[Row], asked: list[Row], judged: list[Judged]) -> dict[str, int]:
    """Write the folder and return the judged queries of each split; a query's split is that of its best passage."""
    document = {row.id: row.document for row in texts}
    home: dict[str, Judged] = {}
    for one in judged:
        if one.query_id not in home or one.score > home[one.query_id].score:
            home[one.query_id] = one
    split = {name: split_of(document[best.doc_id]) for name, best in home.items()}
    with atomic_folder(folder) as out:
        _jsonl(out / "corpus.jsonl", ({"_id": row.id, "title": row.title, "text": row.text} for row in texts))
        if together := shared(texts):
            _jsonl(out / "documents.jsonl", ({"_id": row.id, "document": row.document} for row in together))
        _jsonl(out / "queries.jsonl", ({"_id": row.id, "text": row.text} for row in asked))
        (out / "qrels").mkdir()
        for name, _ in SHARES:
            rows = [one for one in judged if split[one.query_id] == name]
            lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{s}" for q, d, s, _ in rows)]
            (out / "qrels" / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: sum(one == name for one in split.values()) for name, _ in SHARES}


def _good(found: Iterable[T | Bad], bad: list[Bad]) -> list[T]:
    good: list[T] = []
    for one in found:
        if isinstance(one, Bad):
            bad.append(one)
        else:
            good.append(one)
    return good


def _jsonl(path: Path, rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
