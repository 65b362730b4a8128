"""The field's nouns, as records that every part shares.

Ids are strings and opaque: they come from corpora nobody here controls, so no code may parse one, build a
path from one, or assume that it has no spaces.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Passage(NamedTuple):
    """One passage of a corpus; ``title`` may be empty."""

    doc_id: str
    title: str
    text: str


class Query(NamedTuple):
    """One query."""

    query_id: str
    text: str


class Qrel(NamedTuple):
    """One relevance judgement; ``relevance`` 0 means judged and not relevant."""

    query_id: str
    doc_id: str
    relevance: int


class Direction(NamedTuple):
    """Language of the queries and language of the passages of one retrieval task."""

    query_lang: str
    doc_lang: str

    @property
    def name(self) -> str:
        """Folder and file name of this direction: ``fi-ar``."""
        return f"{self.query_lang}-{self.doc_lang}"

    @property
    def label(self) -> str:
        """Key in metrics: ``fi`` where both languages are the same, else ``fi-ar``."""
        return self.query_lang if self.query_lang == self.doc_lang else self.name

    @classmethod
    def parse(cls, name: str) -> Direction:
        """Read ``fi-ar``; language codes hold no hyphen."""
        query_lang, _, doc_lang = name.partition("-")
        return cls(query_lang, doc_lang)


class Outcome(StrEnum):
    """What became of one request to an LLM; anything but ``OK`` has no grade and no text, and is never grade 0."""

    OK = "ok"
    REFUSED = "refused"
    FILTERED = "filtered"
    TRUNCATED = "truncated"
    UNPARSEABLE = "unparseable"


def passage_text(title: str, text: str) -> str:
    """Return what an encoder and an annotator read of a passage: ``title text`` (MIRACL's convention)."""
    return f"{title} {text}".strip() if title else text
