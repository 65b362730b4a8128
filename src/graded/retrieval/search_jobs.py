"""What is asked of a corpus: queries that search all of it, and queries that rank the passages listed for them alone.

Both read one stream of passages, so that a corpus is encoded once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graded.retrieval.rerank import Listed, listing
from graded.retrieval.search import Floats, Hits, Search
from graded.retrieval.search_approximate import ApproximateSearch
from graded.retrieval.shards import texts_key


class Asked(NamedTuple):
    """A query: its text among those of its group (a language), and the only doc_ids to rank, None for all."""

    group: str
    text: str
    listed: tuple[str, ...] | None = None


class Job(NamedTuple):
    """A corpus (Parquet: doc_id, title, text) and what is asked of it, each once."""

    corpus: Path
    queries: Sequence[Asked]

    def key(self) -> str:
        """Return the sha256 of all that is asked, in order."""
        parts: list[str] = []
        for group, text, listed in self.queries:
            parts += [group, text, "all" if listed is None else str(len(listed)), *(listed or ())]
        return texts_key(parts)


def groups(jobs: Iterable[Job]) -> dict[str, list[str]]:
    """Return each group's texts, each once, in the order of the jobs."""
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        for query in job.queries:
            found.setdefault(query.group, {})[query.text] = None
    return {name: list(texts) for name, texts in found.items()}


@dataclass(frozen=True)
class Question:
    """A job's queries as vectors.

    Attributes:
        vectors: float32 ``[Q, dim]``.
        whole: numbers of the queries that search the whole corpus.
        askers: doc_id -> the numbers of the queries that list it.
    """

    vectors: Floats
    whole: list[int]
    askers: dict[str, list[int]]

    @classmethod
    def of(cls, job: Job, vectors: Mapping[tuple[str, str], Floats]) -> Question:
        """Return a job's question by the vector of each (group, text)."""
        stacked = np.stack([vectors[group, text] for group, text, _ in job.queries])
        listed = [query.listed for query in job.queries]
        return cls(stacked, [number for number, ids in enumerate(listed) if ids is None], listing(listed))

    def wanted(self) -> Mapping[str, object] | None:
        """Return the only passages that anyone asks for, by doc_id; None where all are."""
        return None if self.whole else self.askers

    def answer(
        self, shards: Iterable[tuple[list[str], Floats]], k: int, *, index: str = "exact", device: str = "cpu"
    ) -> Hits:
        """Return the best ``k`` of ``shards`` (doc_ids and vectors) for each query; listed ones are ranked exactly."""
        listed = Listed(self.vectors, k, self.askers)
        searched = self.vectors[self.whole]
        search: Search | ApproximateSearch = Search(searched, k, device=device)
        if index != "exact":
            search = ApproximateSearch(searched, k, index)
        for ids, vectors in shards:
            if self.whole:
                search.add(ids, vectors)
            listed.add(ids, vectors)
        hits, found = listed.hits(), search.hits()
        hits.scores[self.whole] = found.scores
        for number, ids in zip(self.whole, found.ids, strict=True):
            hits.ids[number] = ids
        return hits
