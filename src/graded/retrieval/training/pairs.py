"""The graded pairs, as numbers: texts stand once in Arrow memory and everything else points at them.

Three million pairs of a million passages hold each passage once, so memory is that of the distinct texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from graded.errors import DataError
from graded.formats.table import open_parquet

COLUMNS = ("lang", "query_id", "doc_id", "grade", "positive", "query", "passage")
_TEXT = ("lang", "query_id", "doc_id", "query", "passage")


def key(text: str) -> int:
    """Return a 64-bit hash of ``text``, the same in every process and run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


class Texts:
    """Distinct texts: ``ids`` and ``keys`` are hashes of id and text, ``sizes`` the bytes of a text, all [n]."""

    def __init__(self, ids: list[str], texts: pa.Array) -> None:
        self.texts = texts
        self.ids = np.fromiter(map(key, ids), np.int64, len(ids))
        self.keys = np.fromiter((key(text.as_py()) for text in texts), np.int64, len(texts))
        self.sizes = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, number: int) -> str:
        return str(self.texts[int(number)].as_py())

    def extended(self, ids: list[str], texts: list[str]) -> Texts:
        """Return these texts and, behind them, the given ones; ``ids`` as :meth:`Pairs.identity` gives them."""
        more = object.__new__(Texts)
        added = Texts(ids, pa.array(texts, pa.large_string()))
        more.texts = pa.concat_arrays([self.texts, added.texts])
        more.ids = np.concatenate([self.ids, added.ids])
        more.keys = np.concatenate([self.keys, added.keys])
        more.sizes = np.concatenate([self.sizes, added.sizes])
        return more


@dataclass(frozen=True)
class Pairs:
    """Graded pairs, n of them, sorted by query: numbers into ``queries``, ``passages`` and ``languages``.

    ``grade`` [n] float32 on the scale 0 to 3; ``positive`` [n] says grade >= tau of the language. ``doc_ids`` names
    each passage as (language, doc_id). With ``parallel`` an id is the same text in every language.
    """

    languages: list[str]
    queries: Texts
    passages: Texts
    doc_ids: list[tuple[str, str]]
    query: np.ndarray
    passage: np.ndarray
    grade: np.ndarray
    positive: np.ndarray
    query_lang: np.ndarray
    parallel: bool = False

    def __len__(self) -> int:
        return len(self.query)

    def identity(self, lang: str, name: str) -> str:
        """Return what an id counts as: itself in a parallel corpus, else itself within its language."""
        return identity(lang, name, parallel=self.parallel)


def identity(lang: str, name: str, *, parallel: bool) -> str:
    """Return what the id ``name`` of ``lang`` counts as where ids are compared."""
    return name if parallel else f"{lang}\n{name}"


def read_pairs(path: Path, *, parallel: bool = False) -> Pairs:
    """Read ``data/pair.parquet``; ``parallel`` says that an id is the same text in every language.

    Raises:
        MissingError: there is no such file.
        DataError: a column is missing, there is no pair, or a grade is null or outside 0 to 3.
    """
    with open_parquet(path) as file:
        missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; expected {', '.join(COLUMNS)}; run 'dvc repro pair'")
    table = pq.read_table(path, columns=list(COLUMNS), read_dictionary=list(_TEXT)).unify_dictionaries()
    if not table.num_rows:
        raise DataError(f"{path} holds no pair; lower tau or raise pair.size, then 'dvc repro'")
    grade = table["grade"].cast(pa.float32()).combine_chunks()
    if grade.null_count or pc.min(grade).as_py() < 0 or pc.max(grade).as_py() > 3:
        raise DataError(f"{path}: a grade is null or outside 0 to 3; run 'dvc repro pair'")
    codes, words = {}, {}
    for name in _TEXT:
        column = table[name].combine_chunks()
        codes[name] = column.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        words[name] = column.dictionary
    query, query_first = _number(codes["lang"], codes["query_id"])
    passage, passage_first = _number(codes["lang"], codes["doc_id"])
    order = np.argsort(query, kind="stable")
    languages = [str(word) for word in words["lang"].to_pylist()]

    def ids(name: str, first: np.ndarray) -> list[str]:
        return words[name].take(pa.array(codes[name][first])).to_pylist()

    def texts(name: str, first: np.ndarray) -> pa.Array:
        return words[name].take(pa.array(codes[name][first])).cast(pa.large_string())

    def named(names: list[str], first: np.ndarray) -> list[str]:
        langs = (languages[code] for code in codes["lang"][first])
        return [identity(lang, name, parallel=parallel) for lang, name in zip(langs, names, strict=True)]

    doc_ids = ids("doc_id", passage_first)
    doc_langs = [languages[code] for code in codes["lang"][passage_first]]
    query_ids = named(ids("query_id", query_first), query_first)
    return Pairs(
        languages=languages,
        queries=Texts(query_ids, texts("query", query_first)),
        passages=Texts(named(doc_ids, passage_first), texts("passage", passage_first)),
        doc_ids=list(zip(doc_langs, doc_ids, strict=True)),
        query=query[order],
        passage=passage[order],
        grade=grade.to_numpy(zero_copy_only=False)[order],
        positive=table["positive"].combine_chunks().to_numpy(zero_copy_only=False)[order],
        query_lang=codes["lang"][query_first],
        parallel=parallel,
    )


def _number(lang: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct (language, id) in order of first appearance; return numbers [n] and first rows."""
    joint = lang * (int(code.max()) + 1) + code
    _, first, inverse = np.unique(joint, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse], np.sort(first)
