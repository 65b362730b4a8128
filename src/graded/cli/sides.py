"""What `graded compare` can name, a TREC run, a folder of runs, or a Git revision, as values per query."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from graded.analysis.variants import INDEXES, POOL, exact, forms
from graded.cli import here
from graded.console import say
from graded.errors import DataError, MissingError, ParamError, flat, many
from graded.formats import table, trec
from graded.records import Direction

PER_QUERY = "data/evaluate/per_query.parquet"
#: The name of the files here, beside Git's names of revisions.
WORKSPACE = "workspace"


class Task(NamedTuple):
    """One direction of one benchmark, and the metric's name there: ``nDCG@10-pool`` where a pool was searched.

    Behind that, ``-hnsw`` or ``-ivf`` where an approximate index searched, by the run's tag.
    """

    set: str
    direction: Direction
    metric: str


#: task -> query_id -> value of the metric
Side = dict[Task, dict[str, float]]


def of_runs(source: Path, metric: str, qrels: Path | None) -> Side:
    """Return the values of one run file, or of every ``<set>/<ql>-<dl>.trec`` in a folder of runs.

    Without ``qrels`` (a TREC qrels file, or a Parquet file as in data/benchmark) a run's judgements are those of
    data/benchmark/<set>/<ql>-<dl>, by the name of its file and folder. A metric's name may end in ``-pool``: then
    the sets over a pool alone; or in ``-hnsw`` or ``-ivf``: the runs of such an index alone.

    Raises:
        MissingError: no such file, or no judgements for it, or no run that the metric's name asks for.
        ParamError: one qrels file for several runs, or for a metric over a pool.
        DataError: a file breaks its format, or a run has no query that is judged.
    """
    from graded.retrieval import measures

    if source.is_dir():
        paths = sorted(source.rglob("*.trec"))
        if not paths:
            raise MissingError(f"no <set>/<language>-<language>.trec in {source}; 'dvc repro retrieve' makes data/run")
        if qrels is not None and len(paths) > 1:
            raise ParamError(f"--qrels {qrels}: {source} holds {len(paths)} runs; name one run file, or leave it out")
    else:
        paths = [source]
    side: Side = {}
    searched = exact(metric)
    measure = searched.removesuffix(POOL)
    if qrels is not None and measure != searched:
        raise ParamError(f"--metric: received {metric!r} with --qrels {qrels}, which name no pool; legal: {measure}")
    for path in paths:
        task = _task(path, measure, qrels)
        if not task.metric.startswith(metric):
            continue
        judged = read_qrels(qrels or here.BENCHMARK / task.set / path.stem / "qrels.parquet")
        ranked = measures.by_query(((hit[0], hit[1], hit.score) for hit in trec.read_run(path)), str(path))
        absent = len(judged.keys() - ranked.keys())
        if absent == len(judged):
            raise DataError(f"compare: {path} has no line for any of {absent:,} judged queries: another set's run")
        if absent:
            say(f"{path}: no line for {absent:,} of {len(judged):,} queries, which count 0")
        values = measures.score(judged, ranked, [measure])[measure]
        side[task] = dict(zip(judged, values.tolist(), strict=True))
    if not side:
        asked = "of a set over a pool" if metric.endswith(POOL) else "of such a set and index"
        raise MissingError(f"no run in {source} is {asked}, which {metric} asks for; legal: {measure}")
    return side


def _task(path: Path, measure: str, qrels: Path | None) -> Task:
    """Return what a run answers, by its place and its tag."""
    name = path.absolute().parent.name
    record = here.benchmark(name) if qrels is None else {}
    shown = measure + (POOL if record.get("pool") else "") + _index(path, record)
    return (
        Task(name, Direction.parse(path.stem), shown) if qrels is None else Task(qrels.name, Direction("-", "-"), shown)
    )


def _index(path: Path, record: dict[str, Any]) -> str:
    """Return ``-hnsw`` or ``-ivf`` by a run's tag; empty where exact, as listed passages always are."""
    tag = "" if record.get("protocol") == "listed" else trec.run_tag(path)
    return next((index for index in INDEXES if tag.endswith(index)), "")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Return query_id -> doc_id -> relevance from a Parquet file or a TREC qrels file.

    Raises:
        MissingError: no such file; how to name another.
        DataError: the file breaks its format, or judges a passage twice.
    """
    from graded.retrieval import measures

    if not path.is_file():
        raise MissingError(f"no {path}; name the judgements of a run from elsewhere: --qrels FILE")
    names = ("query_id", "doc_id", "relevance")
    rows: Iterable[Any] = table.read_rows(path, *names) if path.suffix == ".parquet" else trec.read_qrels(path)
    judged = measures.by_query(rows, str(path))
    return {query_id: {doc_id: int(value) for doc_id, value in one.items()} for query_id, one in judged.items()}


def of_revision(revision: str, metric: str, system: str) -> Side:
    """Return the values that evaluate wrote at a Git revision (branch, tag, commit, DVC experiment) or here.

    Sets over a pool and runs of an approximate index are among them, by the name that the metric has there.

    Raises:
        MissingError: the revision has no such file, or its data are neither in the cache nor on the remote.
        ParamError: no such revision, system or metric.
    """
    side: Side = {}
    legal = forms(metric)
    have: set[tuple[str, str]] = set()
    for name, query_lang, doc_lang, one, query_id, measured, value in _rows(revision):
        have.add((one, measured))
        if one == system and measured in legal:
            side.setdefault(Task(name, Direction(query_lang, doc_lang), measured), {})[query_id] = value
    if not side:
        shown = ", ".join(sorted({f"{one} {measured}" for one, measured in have})) or "nothing"
        raise ParamError(f"{revision}: received {system} {metric}; {PER_QUERY} there has: {shown}")
    return side


def _rows(revision: str) -> Iterator[tuple[Any, ...]]:
    if revision == WORKSPACE:
        yield from table.read_rows(Path(PER_QUERY))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "per_query.parquet"
        path.write_bytes(_fetch(revision))
        yield from table.read_rows(path)


def _fetch(revision: str) -> bytes:
    import dvc.api
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError
    from dvc_data.index import DataIndexDirError

    try:
        content: bytes = dvc.api.read(PER_QUERY, rev=revision, mode="rb")
    except SCMError:
        raise ParamError(
            f"received {revision!r}: no run file or folder, and no Git revision; 'git log' and 'dvc exp show' list them"
        ) from None
    except (DvcException, DataIndexDirError, OSError) as error:
        raise MissingError(
            f"no {PER_QUERY} of {revision} in the cache or on the remote ({flat(error)});"
            f" whoever has it runs 'dvc push data/evaluate' there, or: git checkout {revision} && dvc repro evaluate"
        ) from None
    return content


def paired(ours: Side, theirs: Side) -> tuple[dict[Task, tuple[list[float], list[float]]], str]:
    """Return task -> (our values, their values) on the same queries, and a line about what is not shared (or '').

    Where one side was searched exactly and the other not, the task is named as the latter's.

    Raises:
        DataError: no direction has a query that both sides have.
    """
    both: dict[Task, tuple[list[float], list[float]]] = {}
    others = {task._replace(metric=exact(task.metric)): task for task in theirs}
    dropped = 0
    for task in ours:
        other = others.pop(task._replace(metric=exact(task.metric)), task)
        values = theirs.get(other, {})
        queries = [query_id for query_id in ours[task] if query_id in values]
        dropped += len(ours[task].keys() ^ values.keys())
        if queries:
            shown = max(task, other, key=lambda one: len(one.metric))
            both[shown] = ([ours[task][query] for query in queries], [values[query] for query in queries])
    dropped += sum(len(theirs[task]) for task in others.values())
    if not both:
        raise DataError("compare: the two sides share no query; they were scored on different benchmarks")
    return both, f"{many(dropped, 'query', 'are')} on one side only and left out" if dropped else ""
