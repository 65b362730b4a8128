"""Grades 0 to 3 made by rule from a question-answering set, in an annotator's place; no person or LLM gave them.

    3   the paragraph that the question was asked on
    2   another paragraph of its article that holds at least half of the question's words which paragraph 3 holds
    1   any other paragraph of the article
    0   a paragraph of another article

Words are stemmed as BM25 does and weighed by their idf in the set. 3 and "same article" come from the set; words alone
tell 2 from 1, so tau = 2 against tau = 3 asks what passages that look alike do, not what people find relevant.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from graded.llm.prompts import neutral
from graded.records import passage_text
from graded.retrieval.lexical import STEMMERS, words
from graded.sources import beir

#: Share of the idf of what the asked paragraph holds of a question, from which on another one gets grade 2.
SHARE = 0.5


class Judge:
    """The training split of one BEIR folder: questions of each passage, and the grade of any pair of texts."""

    def __init__(self, folder: Path, lang: str) -> None:
        import Stemmer

        texts = {row.doc_id: neutral(passage_text(row.title, row.text)) for row in beir.passages(folder)}
        asked = {row.query_id: " ".join(neutral(row.text).split()) for row in beir.queries(folder)}
        self._stem = Stemmer.Stemmer(STEMMERS[lang]).stemWord if lang in STEMMERS else str
        self._words = {text: frozenset(map(self._stem, words(text))) for text in texts.values()}
        held = Counter(word for found in self._words.values() for word in found)
        self._idf = {word: math.log(1 + len(self._words) / count) for word, count in held.items()}
        rows = list(beir.qrels(folder, "train"))
        named = articles((row.query_id, row.doc_id) for row in rows)
        self._article = {texts[doc_id]: article for doc_id, article in named.items()}
        self._sources: dict[str, set[str]] = defaultdict(set)
        self.questions: dict[str, list[str]] = defaultdict(list)
        for query_id, doc_id, grade in rows:
            if grade == 3:
                self.questions[texts[doc_id]].append(asked[query_id])
                self._sources[asked[query_id]].add(texts[doc_id])

    def grade(self, query: str, passage: str) -> int:
        """Return the grade of a pair; 0 where either is not of the training split."""
        return max((self._beside(query, source, passage) for source in self._sources.get(query, ())), default=0)

    def _beside(self, query: str, source: str, passage: str) -> int:
        if passage == source:
            return 3
        if self._article.get(passage) != self._article[source]:
            return 0
        wanted = self._words[source].intersection(map(self._stem, words(query)))
        weight = sum(self._idf[word] for word in wanted)
        shared = sum(self._idf[word] for word in wanted & self._words[passage])
        return 2 if weight and shared >= SHARE * weight else 1


def articles(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return passage -> a passage that stands for its article: passages judged for one question share one."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while parent.setdefault(one, one) != one:
            one = parent[one]
        return one

    first: dict[str, str] = {}
    for query_id, doc_id in rows:
        parent[root(doc_id)] = root(first.setdefault(query_id, doc_id))
    return {one: root(one) for one in list(parent)}
