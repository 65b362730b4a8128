"""What the paper's whole grid costs: GPU-hours, gigabytes and dollars from the numbers of scale.yaml.

The models are those of the sweeps' full forms; two experiments that train the same model count once, and each
evaluates on its own. Prices of LLMs are those of prices.yaml, instructions those of prompts/.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from graded.errors import many
from graded.experiments import grid
from graded.experiments.facts import Facts
from graded.llm import prices
from graded.llm.request import Model
from graded.llm.tokens import RATES

PROMPTS = Path("prompts")


class Way(NamedTuple):
    """How the grid is run.

    ``target``: a model of one language searches that language's queries, in the sweep's own benchmark, alone.
    ``reuse``: a corpus is encoded once a model, whatever the directions. ``pool``: pooled corpora. ``batch``: replies
    at half the price, within a day.
    """

    target: bool = True
    reuse: bool = True
    pool: bool = False
    batch: bool = True


class Part(NamedTuple):
    """One part of the work: how much of what, and what it takes."""

    name: str
    amount: float
    unit: str
    gpu_hours: float = 0.0
    dollars: float = 0.0
    gigabytes: float = 0.0
    #: Hours that more GPUs do not shorten.
    waiting: float = 0.0
    cpu_hours: float = 0.0


class Run(NamedTuple):
    """One experiment: the training it needs, the language it is for, its pairs and the benchmark it evaluates on."""

    training: str
    target: str
    pairs: int
    benchmark: str


def runs(facts: Facts) -> list[Run]:
    """Return the experiments of the sweeps that scale.yaml names, in their full form."""
    found = []
    for name in facts.values["sweeps"]:
        _, sweep = grid.load(name)
        for point in grid.expand(name, sweep.form["full"]):
            values = {key: value for key, value in point.values.items() if not key.startswith("retrieve.")}
            sets = point.values.get("retrieve.sets") or ["miracl"]
            pairs = int(values["pair.size"]) + int(values.get("pair.extra.size") or 0)
            training = repr(sorted((key, str(value)) for key, value in values.items()))
            found.append(Run(training, str(values["pair.target"]), pairs, str(sets[0])))
    return found


def directions(facts: Facts, benchmark: str) -> list[tuple[str, str]]:
    """Return (query language, passage language) of a benchmark: all pairs where it is CLIRMatrix."""
    langs = list(facts.many(f"passages.{benchmark}"))
    return [(one, other) for one in langs for other in langs if benchmark == "clirmatrix" or one == other]


def encoded(facts: Facts, run: Run, way: Way) -> dict[str, float]:
    """Return the passages that a model encodes for one experiment, by benchmark; queries come on top, and are few."""
    benchmarks = [run.benchmark] if way.target else ["miracl", "clirmatrix"]
    return {name: _passages(facts, name, run.target if way.target else None, way) for name in benchmarks}


def _passages(facts: Facts, benchmark: str, target: str | None, way: Way) -> float:
    chosen = [pair for pair in directions(facts, benchmark) if target in (None, pair[0])]
    sizes, queries = facts.many(f"passages.{benchmark}"), facts.many(f"queries.{benchmark}")
    depth = facts.one("pool_top") + facts.one("judged")
    total = 0.0
    for lang in sizes:
        asking = [query for query, passage in chosen if passage == lang]
        if asking:
            pooled = min(sizes[lang], depth * sum(queries[query] for query in asking))
            total += (pooled if way.pool else sizes[lang]) * (1 if way.reuse else len(asking))
    return total


def parts(facts: Facts, way: Way) -> list[Part]:
    """Return all parts of the grid's work, in the order of the map."""
    return [*annotation(facts, way), candidates(facts), training(facts), evaluation(facts, way)]


def annotation(facts: Facts, way: Way) -> Iterator[Part]:
    """Yield the LLMs' parts: queries, the first judge, the second on own GPUs."""
    table = prices.load()
    written = len(facts.many("passages.miracl")) * facts.one("annotate.asked") * facts.one("annotate.styles")
    answers, passage = facts.many("annotate.answer_tokens"), facts.one("annotate.passage_tokens")
    amounts = {
        "query": (written, passage),
        "grade": (written * facts.one("annotate.depth"), passage + facts.one("annotate.query_tokens")),
    }
    for stage, role, name in (("query", "writer", "write queries"), ("grade", "judge", "grade, first judge")):
        count, tokens = amounts[stage]
        model = facts.values["annotate"][role]
        price = table.of(Model(model=model["model"], family=model["family"]))
        one = ((_instructions(stage) + tokens) * price.input + answers[stage] * price.output) / 1e6
        hours = facts.one("annotate.batch_hours") if way.batch else count / facts.one("annotate.requests_a_minute") / 60
        yield Part(name, count, "replies", dollars=count * one * (table.batch if way.batch else 1), waiting=hours)
    count, tokens = amounts["grade"]
    flop = 2 * facts.one("annotate.own_parameters") * (_instructions("grade") + tokens + answers["grade"])
    yield Part("grade, second judge", count, "replies", gpu_hours=count * flop / _speed(facts, "serve") / 3600)


def candidates(facts: Facts) -> Part:
    """Return the search for candidates in the sampled passages, by the base encoder."""
    languages = len(facts.many("passages.miracl"))
    passages = languages * facts.one("annotate.sampled")
    queries = languages * facts.one("annotate.asked") * facts.one("annotate.styles")
    tokens = facts.many("encoder.tokens")
    work = passages * tokens["miracl"] + queries * tokens["query"]
    return Part(
        "candidates", passages + queries, "texts", gpu_hours=_encode(facts, work), cpu_hours=_tokenise(facts, work)
    )


def training(facts: Facts) -> Part:
    """Return the training of every distinct model; every pair counts, so that a high tau takes less."""
    pairs = {run.training: run.pairs for run in runs(facts)}
    seen = sum(pairs.values()) * facts.one("train.epochs")
    tokens = facts.many("encoder.tokens")
    flop = 3 * facts.one("encoder.gflop_token") * 1e9 * (tokens["query"] + tokens["miracl"])
    seconds = seen * (flop / _speed(facts, "train") + facts.one("train.step_ms") / 1e3 / facts.one("train.batch"))
    return Part(
        f"train {many(len(pairs), 'model')}", seen, "pairs", gpu_hours=seconds / 3600,
        gigabytes=len(pairs) * facts.one("encoder.folder_gb"),
        cpu_hours=_tokenise(facts, seen * (tokens["query"] + tokens["miracl"])),
    )  # fmt: skip


def evaluation(facts: Facts, way: Way) -> Part:
    """Return the evaluation of every experiment, and of the base once on everything."""
    tokens = facts.many("encoder.tokens")
    base = Run("base", "", 0, "miracl")
    counts = [encoded(facts, run, way) for run in runs(facts)]
    counts.append(encoded(facts, base, way._replace(target=False)))
    amount = sum(sum(one.values()) for one in counts)
    work = sum(count * tokens[name] for one in counts for name, count in one.items())
    return Part(
        f"evaluate {many(len(counts), 'time')}", amount, "passages", gpu_hours=_encode(facts, work),
        gigabytes=facts.one("downloads"), cpu_hours=_tokenise(facts, work),
    )  # fmt: skip


def kept_gigabytes(facts: Facts) -> float:
    """Return the size of one model's kept vectors (float16) of all corpora."""
    passages = sum(sum(facts.many(f"passages.{name}").values()) for name in ("miracl", "clirmatrix"))
    return passages * facts.one("encoder.dim") * 2 / 1e9


def walls(facts: Facts, found: list[Part], gpus: int) -> dict[str, float]:
    """Return the hours that each part takes on ``gpus``, tokens made on the cores beside them; parts follow in turn."""
    cores = facts.one("cpu.cores_gpu") * gpus
    return {part.name: max(part.waiting, part.gpu_hours / gpus, part.cpu_hours / cores) for part in found}


def _encode(facts: Facts, tokens: float) -> float:
    return tokens * facts.one("encoder.gflop_token") * 1e9 / _speed(facts, "encode") / 3600


def _tokenise(facts: Facts, tokens: float) -> float:
    return tokens / facts.one("cpu.tokens_second") / 3600


def _speed(facts: Facts, kind: str) -> float:
    """Return FLOP a second."""
    return facts.one("gpu.tflops") * 1e12 * facts.one(f"gpu.{kind}")


def _instructions(stage: str) -> float:
    """Return the tokens of a prompt's own words."""
    return len((PROMPTS / f"{stage}.txt").read_text(encoding="utf-8")) * RATES["en"]
