"""Plain TREC files, one folder a language: what other tools and older collections bring.

    corpus.tsv[.gz]      doc_id <tab> text, or doc_id <tab> title <tab> text
    topics.<split>.tsv   query_id <tab> text; or topics.<split>.txt with <top>, <num> and <title>
    qrels.<split>.txt    query_id iteration doc_id relevance

The topic format is TREC's of the ad hoc tracks, e.g. https://trec.nist.gov/data/topics_eng/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from graded.errors import DataError, MissingError, many
from graded.formats import trec
from graded.records import Passage, Qrel, Query
from graded.sources.lines import lines, named


def passages(folder: Path) -> Iterator[Passage]:
    """Yield the passages in file order.

    Raises:
        MissingError: the folder has no corpus.tsv or corpus.tsv.gz.
        DataError: a line that has not two or three columns, or an empty id; it is named.
    """
    path = _find(folder, ["corpus.tsv", "corpus.tsv.gz"])
    for number, line in enumerate(lines(path), 1):
        found = line.split("\t")
        if not line.strip():
            continue
        if len(found) not in (2, 3) or not found[0]:
            raise DataError(f"{path}:{number}: {many(len(found), 'column')}, expected doc_id<tab>[title<tab>]text")
        yield Passage(found[0], found[1] if len(found) == 3 else "", found[-1])


def queries(folder: Path, split: str) -> Iterator[Query]:
    """Yield the topics of a split; of a <top>, its number and title.

    Raises:
        MissingError: no such file.
        DataError: a line that has not two columns, or a <top> without number or title; it is named.
    """
    path = _find(folder, [f"topics.{split}.tsv", f"topics.{split}.txt"])
    if path.suffix == ".tsv":
        for query_id, words in named(path, "query_id"):
            yield Query(query_id, words)
        return
    for place, top in enumerate(re.findall(r"<top>(.*?)(?:</top>|(?=<top>)|\Z)", "\n".join(lines(path)), re.S), 1):
        number = re.search(r"<num>\s*(?:Number:)?\s*([^\s<]+)", top)
        title = re.search(r"<title>\s*(?:Topic:)?\s*([^<]*)", top)
        if number is None or title is None or not title[1].strip():
            raise DataError(f"{path}: <top> {place} has no <num> or no <title>")
        yield Query(number[1], " ".join(title[1].split()))


def qrels(folder: Path, split: str) -> Iterator[Qrel]:
    """Yield the judgements of a split.

    Raises:
        MissingError: no such file.
        DataError: a line that has not four fields, or a relevance that is no whole number; it is named.
    """
    yield from trec.read_qrels(_find(folder, [f"qrels.{split}.txt"]))


def _find(folder: Path, names: list[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    have = ", ".join(sorted(path.name for path in folder.glob("*.t*"))) or "no such file"
    raise MissingError(f"no {' or '.join(names)} in {folder}; it has: {have}")
