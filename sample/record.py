"""Write the sample's recorded readings into the ledger as replies: `make record`, after a prompt or a text changed.

For each training query it records both annotators' grades of the passages that were read with it and of the base
encoder's twenty nearest; a training passage that an annotator's table leaves out for a query has grade 0.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from graded.records import Passage, passage_text
from graded.retrieval.encoder import Encoder
from graded.sources import beir

HERE = Path(__file__).resolve().parent
ANNOTATORS = ("sample-a", "sample-b")
DEPTH = 20
#: How a passage of another topic that a table leaves out was read; the listed ones were read one by one.
APART = "read as one of the other topics' passages, all at once, as nothing to do with this query; cost 0"


def table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a recorded table."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def readings(lang: str, encoder: Encoder) -> Iterator[dict[str, str]]:
    """Yield every reading of one language, in the columns of `graded ledger record`."""
    queries = list(table(HERE / "recorded" / "query" / f"{lang}.tsv"))
    topics = {row["doc_id"] for row in queries}
    passages = {row.doc_id: row for row in beir.passages(HERE / "texts" / lang) if row.doc_id in topics}
    for row in queries:
        passage = passages[row["doc_id"]]
        yield {
            "stage": "query", "language": lang, "style": row["style"],
            "title": passage.title, "passage": passage.text, "reply": row["text"],
        }  # fmt: skip
    names = list(passages)
    texts = [passage_text(passage.title, passage.text) for passage in passages.values()]
    scores = encoder.encode([row["text"] for row in queries], "query") @ encoder.encode(texts, "passage").T
    nearest = [[names[index] for index in order[:DEPTH]] for order in (-scores).argsort(axis=1)]
    for annotator in ANNOTATORS:
        yield from grades(annotator, lang, queries, passages, nearest)


def grades(
    annotator: str,
    lang: str,
    queries: list[dict[str, str]],
    passages: dict[str, Passage],
    nearest: list[list[str]],
) -> Iterator[dict[str, str]]:
    """Yield one annotator's readings of one language."""
    tables = table(HERE / "recorded" / "grade" / annotator / f"{lang}.tsv")
    read = {(row["doc_id"], row["style"]): dict(one.split(":") for one in row["grades"].split()) for row in tables}
    for query, near in zip(queries, nearest, strict=True):
        known = read[query["doc_id"], query["style"]]
        for doc_id in sorted({*known, *near}):
            yield {
                "stage": "grade", "annotator": annotator, "language": lang, "query": query["text"],
                "title": passages[doc_id].title, "passage": passages[doc_id].text,
                "reply": f"[{known.get(doc_id, '0')}]",
                **({} if doc_id in known else {"provenance": APART}),
            }  # fmt: skip


def main() -> None:
    """Record all readings in a ledger of their own, and put it into the remote inside the repository."""
    root = HERE.parent
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name in ("prompts", "params.yaml"):
            (work / name).symlink_to(root / name)
        run(work, "git", "init", "--quiet")
        run(work, "dvc", "init", "--quiet")
        run(work, "dvc", "remote", "add", "--quiet", "sample", str(HERE / "remote"))
        encoder = Encoder.load(root / "data/encoder")
        with (work / "readings.jsonl").open("w", encoding="utf-8") as file:
            for lang in sorted(path.stem for path in (HERE / "recorded" / "query").glob("*.tsv")):
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in readings(lang, encoder))
        run(work, "graded", "ledger", "record", "readings.jsonl")
        run(work, "graded", "ledger", "publish")
        shutil.rmtree(HERE / "remote", ignore_errors=True)
        run(work, "dvc", "push", "--quiet", "--remote", "sample", "data/ledger.dvc")
        # Pulled from the sample's remote, and never pushed there by a plain `dvc push`.
        pointer = (work / "data/ledger.dvc").read_text(encoding="utf-8") + "  remote: sample\n  push: false\n"
        (root / "data/ledger.dvc").write_text(pointer, encoding="utf-8")


def run(work: Path, *command: str) -> None:
    """Run one command in ``work``."""
    subprocess.run(command, cwd=work, check=True)


if __name__ == "__main__":
    main()
