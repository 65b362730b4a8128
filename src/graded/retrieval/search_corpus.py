"""Search whole corpora for a model: units of passages encoded once, searched for every query, merged, dropped.

Several processes may run this at once (``accelerate launch``): they share the units through ``.work/`` and each
gets the same result. A unit's file holds its own exact top-k, so that merging needs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from graded.formats.atomic import atomic
from graded.formats.table import open_parquet
from graded.records import passage_text
from graded.retrieval.distributed import Place
from graded.retrieval.search import Hits, Search, best
from graded.retrieval.shards import Rows, content_key, finish, read_range, split_rows, texts_key, work_folder

Floats = npt.NDArray[np.float32]

#: Query texts a unit of query encoding.
QUERY_UNIT = 4096

HITS = pa.schema([("query", pa.int32()), ("doc_id", pa.string()), ("score", pa.float32())])


class Encodes(Protocol):
    """What is asked of an encoder; :class:`graded.retrieval.encoder.Encoder` is the one."""

    @property
    def dim(self) -> int: ...

    def encode(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Floats: ...


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """A model at work on corpora.

    Attributes:
        encoder: the model.
        model_key: hash of all that its vectors depend on (weights, prefixes, length, dtype).
        place: this process.
        k: passages a query.
        unit: passages that one process claims at a time.
        block: passages encoded and searched at a time; bounds the memory.
        device: where the product runs.
    """

    encoder: Encodes
    model_key: str
    place: Place
    k: int
    unit: int = 65536
    block: int = 16384
    device: str = "cpu"

    @classmethod
    def load(
        cls, folder: Path, k: int, *, dtype: str = "float32", unit: int = 65536, place: Place | None = None
    ) -> Searcher:
        """Return a searcher with the encoder in ``folder``, on this process's GPU or its share of the cores.

        Raises:
            MissingError, DataError, ParamError: as :meth:`graded.retrieval.encoder.Encoder.load`.
        """
        import torch

        from graded.retrieval.encoder import Encoder

        place = place or Place()
        torch.set_num_threads(place.threads)
        encoder = Encoder.load(folder, dtype=dtype, workers=place.threads)
        key = model_key(encoder.description.model_dump(), dtype)
        return cls(encoder=encoder, model_key=key, place=place, k=k, unit=unit, device=str(encoder.device))

    def encode_queries(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of ``texts``, float32 ``[Q, dim]``; each unit of them encoded by one process."""
        parts = [texts[start : start + QUERY_UNIT] for start in range(0, len(texts), QUERY_UNIT)]
        keys = [content_key("queries", self.model_key, texts_key(part)) for part in parts]
        paths = [work_folder("queries") / f"{key}.npy" for key in keys]

        def make(index: int) -> None:
            vectors = self.encoder.encode(parts[index], "query")
            with atomic(paths[index]) as temporary, temporary.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)

        finish(paths, make, self.place)
        vectors = [np.load(path, allow_pickle=False) for path in paths]
        return np.concatenate(vectors) if vectors else np.zeros((0, self.encoder.dim), np.float32)

    def search(
        self, corpus: Path, texts: Sequence[str], vectors: Floats, *, progress: Callable[[int], None] | None = None
    ) -> Hits:
        """Return the top-k of ``corpus`` (Parquet: doc_id, title, text) for the queries ``texts``.

        Args:
            corpus: the passages.
            texts: the queries' texts, which name the work; ``vectors`` are theirs, ``[Q, dim]``.
            vectors: from :meth:`encode_queries`.
            progress: called with numbers of passages that are done, by this process or by others.

        Raises:
            MissingError, DataError: the corpus is not there or not what it should be.
        """
        units = split_rows(corpus, self.unit)
        settings = ["hits", self.model_key, texts_key(texts), self.k]
        merged = self._path([*settings, [[unit.sha256, unit.start, unit.stop] for unit in units]])
        paths = [self._path([*settings, unit.sha256, unit.start, unit.stop]) for unit in units]
        report = progress or (lambda _: None)

        def found(index: int) -> None:
            report(units[index].stop - units[index].start)

        def make(index: int) -> None:
            write_hits(paths[index], self._search_unit(units[index], vectors, report))

        def merge(_: int) -> None:
            write_hits(merged, merge_hits(paths, len(texts), self.k))

        finish(paths, make, self.place, result=merged, found=found)
        finish([merged], merge, self.place)
        if self.place.first:
            for path in paths:
                path.unlink(missing_ok=True)
        return merge_hits([merged], len(texts), self.k)

    def _path(self, key: list[Any]) -> Path:
        return work_folder("hits") / f"{content_key(key)}.parquet"

    def _search_unit(self, unit: Rows, queries: Floats, report: Callable[[int], None]) -> Hits:
        search = Search(queries, self.k, device=self.device)
        for ids, vectors in self._encoded(unit, report):
            search.add(ids, vectors)
        return search.hits()

    def _encoded(self, unit: Rows, report: Callable[[int], None]) -> Iterator[tuple[list[str], Floats]]:
        for batch in read_range(unit, ["doc_id", "title", "text"], self.block):
            ids, titles, texts = (batch.column(name).to_pylist() for name in ("doc_id", "title", "text"))
            passages = [passage_text(title, text) for title, text in zip(titles, texts, strict=True)]
            yield ids, self.encoder.encode(passages, "passage", progress=report)


def model_key(record: dict[str, Any], dtype: str) -> str:
    """Return the hash of what a model's vectors depend on: its record (encoder.json), dtype, code and libraries.

    The code is this package's folder: a unit that an older version of it made is never taken for a new one's.
    """
    code = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))}
    versions = {name: version(name) for name in ("torch", "tokenizers", "numpy")}
    return content_key(record, dtype, code, versions)


def write_hits(path: Path, hits: Hits) -> None:
    """Write ``hits`` as Parquet: query (its number), doc_id, score; best first."""
    counts = [len(ids) for ids in hits.ids]
    columns = [
        pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts)),
        pa.array([name for ids in hits.ids for name in ids], pa.string()),
        pa.array(hits.scores[np.isfinite(hits.scores)]),
    ]
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_arrays(columns, schema=HITS), temporary, compression="zstd")


def merge_hits(paths: Sequence[Path], queries: int, k: int) -> Hits:
    """Return the k best of several files of hits, one in memory at a time; errors as ``open_parquet``."""
    scores, ids = np.full((queries, k), -np.inf, np.float32), np.full((queries, k), "", object)
    for path in paths:
        with open_parquet(path) as file:
            table = file.read()
        query = table.column("query").to_numpy()
        counts = np.bincount(query, minlength=queries)
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        new_scores, new_ids = np.full_like(scores, -np.inf), np.full_like(ids, "")
        new_scores[query, place] = table.column("score").to_numpy()
        new_ids[query, place] = table.column("doc_id").to_pylist()
        scores, ids = best(np.concatenate([scores, new_scores], axis=1), np.concatenate([ids, new_ids], axis=1), k)
    known = np.isfinite(scores).sum(axis=1)
    return Hits([list(row[:count]) for row, count in zip(ids, known, strict=True)], scores)
