"""Passages to vectors, a block at a time; kept on disk as float16 where that is asked for.

A unit's kept vectors are one memory-mapped file under .work/vectors/, named by the unit's content and the model, and
serve every later search of that corpus by that model (other queries, other benchmarks). They are rounded to float16
in the run that writes them too, so that the result does not depend on which run that was.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from graded.formats.atomic import atomic
from graded.formats.work import work_folder
from graded.records import passage_text
from graded.retrieval.shards import Rows, content_key, read_range

Floats = npt.NDArray[np.float32]


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


@dataclass(frozen=True)
class Passages:
    """The vectors of units of passages.

    Attributes:
        encoder: the model.
        model_key: hash of all that its vectors depend on.
        block: passages encoded at a time; bounds the memory.
        keep: whether vectors are kept (float16) for later searches.
    """

    encoder: Encodes
    model_key: str
    block: int = 16384
    keep: bool = False

    def shards(
        self, unit: Rows, report: Callable[[int], None], wanted: Container[str] | None = None
    ) -> Iterator[tuple[list[str], Floats]]:
        """Yield doc_ids and vectors, float32 ``[n, dim]`` with ``n`` below twice ``block``, in the corpus's order.

        ``wanted`` holds the doc_ids that are asked for; no other passage is encoded, unless vectors are kept: those
        of a whole unit serve whatever is asked for later.
        """
        if not self.keep:
            yield from self._encode(unit, report, wanted)
            return
        path = work_folder("vectors", f"{content_key('vectors', self.model_key, unit.sha256, unit[2:])}.npy")
        if not path.exists():
            with atomic(path) as temporary:
                shape = (unit.stop - unit.start, self.encoder.dim)
                kept = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
                at = 0
                for ids, vectors in self._encode(unit, report, None):
                    kept[at : at + len(ids)] = vectors
                    at += len(ids)
                kept.flush()
                del kept
            report = _nothing
        stored, at = np.load(path, mmap_mode="r", allow_pickle=False), 0
        for batch in read_range(unit, ["doc_id"], self.block):
            yield batch.column("doc_id").to_pylist(), stored[at : at + batch.num_rows].astype(np.float32)
            at += batch.num_rows
            report(batch.num_rows)

    def _encode(
        self, unit: Rows, report: Callable[[int], None], wanted: Container[str] | None
    ) -> Iterator[tuple[list[str], Floats]]:
        for ids, passages in self._read(unit, report, wanted):
            yield ids, self.encoder.encode(passages, "passage", progress=report)

    def _read(
        self, unit: Rows, report: Callable[[int], None], wanted: Container[str] | None
    ) -> Iterator[tuple[list[str], list[str]]]:
        ids: list[str] = []
        passages: list[str] = []
        for batch in read_range(unit, ["doc_id", "title", "text"], self.block):
            if wanted is not None:
                chosen = pa.array([doc_id in wanted for doc_id in batch.column("doc_id").to_pylist()])
                report(chosen.false_count)
                batch = batch.filter(chosen)
            names, titles, texts = (batch.column(name).to_pylist() for name in ("doc_id", "title", "text"))
            ids += names
            passages += [passage_text(title, text) for title, text in zip(titles, texts, strict=True)]
            if wanted is None or len(ids) >= self.block:
                yield ids, passages
                ids, passages = [], []
        if ids:
            yield ids, passages


def _nothing(_: int) -> None:
    """Report nothing: it was reported before."""
