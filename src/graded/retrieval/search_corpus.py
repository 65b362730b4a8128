"""Search whole corpora for a model: units of passages encoded once, searched for every query, merged, dropped.

Several processes may run this at once (``accelerate launch``): they share the units through ``.work/`` and each
gets the same result. A unit's file holds its own exact top-k, so that merging needs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from graded.formats.atomic import atomic
from graded.formats.table import open_parquet
from graded.retrieval.distributed import Place
from graded.retrieval.search import Hits, Search, best
from graded.retrieval.search_approximate import ApproximateSearch
from graded.retrieval.search_vectors import Passages
from graded.retrieval.shards import Rows, content_key, finish, split_rows, texts_key, work_folder

Floats = npt.NDArray[np.float32]

#: Query texts a unit of query encoding.
QUERY_UNIT = 1024

HITS = pa.schema([("query", pa.int32()), ("doc_id", pa.string()), ("score", pa.float32())])


class Job(NamedTuple):
    """A corpus (Parquet: doc_id, title, text) and the queries to search it for: (group, text), each pair once."""

    corpus: Path
    queries: Sequence[tuple[str, str]]


class _Plan(NamedTuple):
    """A job's units, their files and the file that they are merged into."""

    units: list[Rows]
    paths: list[Path]
    merged: Path


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """A model at work on corpora.

    Attributes:
        passages: the model, and how its vectors are made and kept.
        place: this process.
        k: passages a query.
        unit: passages that one process claims at a time.
        index: ``exact``, or an approximate one of ``search_approximate.KINDS``.
        device: where the product runs.
    """

    passages: Passages
    place: Place
    k: int
    unit: int = 65536
    index: str = "exact"
    device: str = "cpu"

    @classmethod
    def load(
        cls,
        folder: Path,
        k: int,
        *,
        dtype: str = "float32",
        unit: int = 65536,
        keep: bool = False,
        index: str = "exact",
        place: Place | None = None,
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
        passages = Passages(encoder, model_key(encoder.description.model_dump(), dtype), keep=keep)
        return cls(passages=passages, place=place, k=k, unit=unit, index=index, device=str(encoder.device))

    def search(
        self,
        jobs: Sequence[Job],
        groups: Mapping[str, Sequence[str]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> list[Hits]:
        """Return each job's top-k, a row a query.

        Args:
            jobs: what to search for what.
            groups: all texts of each group of queries (a language); each group is encoded once.
            progress: called with numbers of passages that are done, by this process or by others.

        Raises:
            MissingError, DataError: a corpus is not there or not what it should be.
        """
        report = progress or (lambda _: None)
        plans = [self._plan(job) for job in jobs]
        for plan in plans:
            if plan.merged.exists():
                report(sum(unit.stop - unit.start for unit in plan.units))
        todo = [(job, plan) for job, plan in zip(jobs, plans, strict=True) if not plan.merged.exists()]
        names = {name for job, _ in todo for name, _ in job.queries}
        vectors = self.encode_queries({name: texts for name, texts in groups.items() if name in names})
        work = [(job, plan, index) for job, plan in todo for index in range(len(plan.units))]

        def make(number: int) -> None:
            job, plan, index = work[number]
            queries = np.stack([vectors[key] for key in job.queries])
            write_hits(plan.paths[index], self._search_unit(plan.units[index], queries, report))

        def found(number: int) -> None:
            _, plan, index = work[number]
            report(plan.units[index].stop - plan.units[index].start)

        def merge(number: int) -> None:
            job, plan = todo[number]
            write_hits(plan.merged, merge_hits(plan.paths, len(job.queries), self.k))

        results = [plan.merged for _, plan, _ in work]
        finish([plan.paths[index] for _, plan, index in work], make, self.place, results=results, found=found)
        finish([plan.merged for _, plan in todo], merge, self.place)
        if self.place.first:
            for _, plan in todo:
                for path in plan.paths:
                    path.unlink(missing_ok=True)
        return [merge_hits([plan.merged], len(job.queries), self.k) for job, plan in zip(jobs, plans, strict=True)]

    def _plan(self, job: Job) -> _Plan:
        units = split_rows(job.corpus, self.unit if self.index == "exact" else 2**62)
        texts = texts_key([part for query in job.queries for part in query])
        settings = ["hits", self.passages.model_key, self.passages.keep, self.index, self.k, texts]
        folder = work_folder("hits")
        paths = [folder / f"{content_key(settings, unit.sha256, unit.start, unit.stop)}.parquet" for unit in units]
        merged = content_key(settings, "merged", [[unit.sha256, unit.start, unit.stop] for unit in units])
        return _Plan(units, paths, folder / f"{merged}.parquet")

    def encode_queries(self, groups: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Floats]:
        """Return the vector of each (group, text); each unit of texts is encoded by one process."""
        parts = [
            (name, texts[start : start + QUERY_UNIT])
            for name, texts in groups.items()
            for start in range(0, len(texts), QUERY_UNIT)
        ]
        keys = [content_key("queries", self.passages.model_key, texts_key(texts)) for _, texts in parts]
        paths = [work_folder("queries") / f"{key}.npy" for key in keys]

        def make(index: int) -> None:
            vectors = self.passages.encoder.encode(parts[index][1], "query")
            with atomic(paths[index]) as temporary, temporary.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)

        finish(paths, make, self.place)
        return {
            (name, text): vector
            for (name, texts), path in zip(parts, paths, strict=True)
            for text, vector in zip(texts, np.load(path, allow_pickle=False), strict=True)
        }

    def _search_unit(self, unit: Rows, queries: Floats, report: Callable[[int], None]) -> Hits:
        search: Search | ApproximateSearch = Search(queries, self.k, device=self.device)
        if self.index != "exact":
            search = ApproximateSearch(queries, self.k, self.index)
        for ids, vectors in self.passages.shards(unit, report):
            search.add(ids, vectors)
        return search.hits()


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
