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

from graded.console import say
from graded.formats.atomic import atomic
from graded.formats.work import work_folder
from graded.retrieval.claims import finish
from graded.retrieval.distributed import Place
from graded.retrieval.memory import give_back
from graded.retrieval.search import Floats, Hits
from graded.retrieval.search_hits import merge_hits, write_hits
from graded.retrieval.search_jobs import Job, Question, groups
from graded.retrieval.search_vectors import Passages
from graded.retrieval.shards import Rows, content_key, split_rows, texts_key

#: Query texts a unit of query encoding.
QUERY_UNIT = 1024


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
        *,
        progress: Callable[[int], None] | None = None,
        tell: Callable[[str], None] = say,
    ) -> list[Hits]:
        """Return each job's top-k, a row a query.

        Args:
            jobs: what to search for what; each group's texts are encoded once, whatever the number of jobs.
            progress: called with numbers of passages that are done, by this process or by others.
            tell: called with a line where work of a process that has died is done again.

        Raises:
            MissingError, DataError: a corpus is not there or not what it should be.
        """
        report = progress or (lambda _: None)
        plans = [self._plan(job) for job in jobs]
        for plan in plans:
            if plan.merged.exists():
                report(sum(unit.stop - unit.start for unit in plan.units))
        todo = [(job, plan) for job, plan in zip(jobs, plans, strict=True) if not plan.merged.exists()]
        names = {query.group for job, _ in todo for query in job.queries}
        vectors = self._encode_queries({name: texts for name, texts in groups(jobs).items() if name in names}, tell)
        asked = [(Question.of(job, vectors), plan) for job, plan in todo]
        work = [(question, plan, index) for question, plan in asked for index in range(len(plan.units))]

        def make(number: int) -> None:
            question, plan, index = work[number]
            write_hits(plan.paths[index], self._search_unit(plan.units[index], question, report))
            give_back()  # or the heap grows for as long as its holes do not fit the next texts

        def found(number: int) -> None:
            _, plan, index = work[number]
            report(plan.units[index].stop - plan.units[index].start)

        def merge(number: int) -> None:
            job, plan = todo[number]
            write_hits(plan.merged, merge_hits(plan.paths, len(job.queries), self.k))

        results = [plan.merged for _, plan, _ in work]
        paths = [plan.paths[index] for _, plan, index in work]
        finish(paths, make, self.place, results=results, found=found, tell=tell)
        finish([plan.merged for _, plan in todo], merge, self.place, tell=tell)
        if self.place.first:
            for _, plan in todo:
                for path in plan.paths:
                    path.unlink(missing_ok=True)
        return [merge_hits([plan.merged], len(job.queries), self.k) for job, plan in zip(jobs, plans, strict=True)]

    def _plan(self, job: Job) -> _Plan:
        cut = self.index == "exact" or all(query.listed is not None for query in job.queries)
        units = split_rows(job.corpus, self.unit if cut else 2**62)
        settings = ["hits", self.passages.model_key, self.passages.keep, self.index, self.k, job.key()]
        folder = work_folder("hits")
        paths = [folder / f"{content_key(settings, unit.sha256, unit.start, unit.stop)}.parquet" for unit in units]
        merged = content_key(settings, "merged", [[unit.sha256, unit.start, unit.stop] for unit in units])
        return _Plan(units, paths, folder / f"{merged}.parquet")

    def _encode_queries(
        self, texts: Mapping[str, Sequence[str]], tell: Callable[[str], None]
    ) -> dict[tuple[str, str], Floats]:
        """Return the vector of each (group, text); each unit of texts is encoded by one process."""
        parts = [
            (name, group[start : start + QUERY_UNIT])
            for name, group in texts.items()
            for start in range(0, len(group), QUERY_UNIT)
        ]
        keys = [content_key("queries", self.passages.model_key, texts_key(part)) for _, part in parts]
        paths = [work_folder("queries", f"{key}.npy") for key in keys]

        def make(index: int) -> None:
            vectors = self.passages.encoder.encode(parts[index][1], "query")
            with atomic(paths[index]) as temporary, temporary.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)

        finish(paths, make, self.place, tell=tell)
        return {
            (name, text): vector
            for (name, part), path in zip(parts, paths, strict=True)
            for text, vector in zip(part, np.load(path, allow_pickle=False), strict=True)
        }

    def _search_unit(self, unit: Rows, question: Question, report: Callable[[int], None]) -> Hits:
        shards = self.passages.shards(unit, report, question.wanted())
        return question.answer(shards, self.k, index=self.index, device=self.device)


def model_key(record: dict[str, Any], dtype: str) -> str:
    """Return the hash of what a model's vectors depend on: its record (encoder.json), dtype, code and libraries.

    The code is this package's folder: a unit that an older version of it made is never taken for a new one's.
    """
    code = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))}
    versions = {name: version(name) for name in ("torch", "tokenizers", "numpy")}
    return content_key(record, dtype, code, versions)
