"""BM25 over one corpus in memory, by bm25s: the baseline that reads words, not vectors.

Words are runs of letters, marks and digits, NFKC-normalised and lower-case, stemmed by Snowball where it knows the
language; runs of Han, Hiragana or Katakana are cut into overlapping pairs, as Lucene's CJK analyser does. No stop
words: their idf is next to nothing. Score: Lucene's BM25 (Kamphuis et al. 2020, "Which BM25 do you mean?").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graded.records import passage_text

#: Vowel signs and accents belong to their letter; Python's \w leaves them out.
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)).startswith("M"))
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")

#: Snowball's name of a language.
STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fa": "persian",
    "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "sw": "swahili", "ta": "tamil",
    "tr": "turkish",
}  # fmt: skip


def words(text: str) -> list[str]:
    """Return the words of ``text`` in order, before stemming."""
    text = unicodedata.normalize("NFKC", text).lower()
    runs: list[str] = _WORD.findall(text)
    if _CJK.search(text) is None:
        return runs
    found: list[str] = []
    for word in runs:
        place = 0
        for run in _CJK.finditer(word):
            if run.start() > place:
                found.append(word[place : run.start()])
            cut = run.group()
            found.extend([cut[at : at + 2] for at in range(len(cut) - 1)] or [cut])
            place = run.end()
        if place < len(word):
            found.append(word[place:])
    return found


class Bm25:
    """An index of one corpus.

    Args:
        passages: (doc_id, title, text); read once.
        lang: their language, which chooses the stemmer.
        k1: how soon further occurrences of a word stop counting.
        b: how much long passages are held back, 0 to 1.
    """

    def __init__(self, passages: Iterator[tuple[Any, ...]], lang: str, *, k1: float, b: float) -> None:
        import bm25s
        import Stemmer

        stem = Stemmer.Stemmer(STEMMERS[lang]).stemWord if lang in STEMMERS else _same
        self._stem = stem
        self._known: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        ids: list[str] = []
        rows: list[list[int]] = []
        for doc_id, title, text in passages:
            ids.append(doc_id)
            rows.append([self._number(word) for word in words(passage_text(title, text))])
        self.ids = np.array(ids, dtype=object)
        self._places = {doc_id: place for place, doc_id in enumerate(ids)}
        self._index = bm25s.BM25(k1=k1, b=b, method="lucene")
        if any(rows):
            self._index.index((rows, self._stems), show_progress=False)
        self._empty = not any(rows)

    def search(self, query: str, k: int, among: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """Return the first ``k`` (doc_id, score) that share a word with ``query``, ties broken as trec_eval does.

        ``among`` names the only passages to rank.
        """
        tokens = [self._stems[stem] for word in words(query) if (stem := self._stem(word)) in self._stems]
        if self._empty or not tokens:
            return []
        scores = self._index.get_scores(tokens)
        if among is not None:
            wanted = np.array([self._places[doc_id] for doc_id in among if doc_id in self._places], dtype=np.int64)
            places = wanted[scores[wanted] > 0]
        else:
            floor = np.partition(scores, -k)[-k] if k < len(scores) else 0.0
            places = np.flatnonzero((scores >= floor) & (scores > 0))
        found = [(str(self.ids[place]), float(scores[place])) for place in places]
        return sorted(found, key=lambda hit: (hit[1], hit[0]), reverse=True)[:k]

    def _number(self, word: str) -> int:
        number = self._known.get(word)
        if number is None:
            stem = self._stem(word)
            number = self._stems.setdefault(stem, len(self._stems))
            self._known[word] = number
        return number


def _same(word: str) -> str:
    return word
