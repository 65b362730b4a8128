"""`graded estimate`: what `dvc repro` would buy, before it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from graded import params
from graded.cli import here
from graded.console import say
from graded.errors import MissingError, many
from graded.formats import table
from graded.llm import prices
from graded.llm.estimate import Line, Rough
from graded.llm.estimate import estimate as lines
from graded.llm.job import Job
from graded.llm.ledger import Ledger
from graded.llm.procure import cap, enough, stale
from graded.llm.tokens import QUERY
from graded.records import passage_text
from graded.stages import grade, query

#: The stages that data/sample comes from.
DRAWN = ("corpus", "benchmark", "sample")


def estimate() -> None:
    """Show requests, cached and new, tokens and dollars of stages query and grade; buys nothing.

    Where the candidates of the grade stage are not known yet, their number follows from the sample and is marked ~.
    Stops where data/sample is of other params than params.yaml has now, or dvc.lock is broken.

    Example: graded estimate
    """
    here.repository("estimate")
    ledger = Ledger()
    ledger.store.check_snapshot()
    unsure = fits(Path())
    found = list(lines(ledger, list(jobs()), prices.load()))
    say(f"{'stage':<6}{'model':<24}{'lang':<4}{'requests':>11}{'cached':>10}{'new':>11}"
        f"{'in tok':>7}{'out tok':>8}{'online $':>10}{'batch $':>9}")  # fmt: skip
    for line in found:
        _show(line)
    online, batch = sum(line.online for line in found), sum(line.batch for line in found)
    new, under_way = sum(line.new for line in found), sum(line.under_way for line in found)
    say(f"total: {many(new, 'reply')} to buy, ${online:,.2f} online, ${batch:,.2f} by batch")
    for stage, model in dict.fromkeys((line.stage, line.model) for line in found):
        mine = [line for line in found if (line.stage, line.model) == (stage, model)]
        known = sum({line.language: line.known for line in mine}.values())
        if known and not any(line.cached or line.under_way or line.rough for line in mine):
            say(f"{stage} {model}: {stale(known)}")
    if under_way:
        say(
            f"under way: {many(under_way, 'request')} in batches that are paid for and not bought again;"
            " see: graded batches"
        )
    state = ledger.state
    say(f"budget: GRADED_BUDGET_USD is {cap():,.2f}; this clone has spent or reserved ${state.committed:,.2f} so far")
    if new and (need := enough(state, online)) > cap():
        say(f"to buy all of this: GRADED_BUDGET_USD={need:.2f} dvc repro")
    if unsure:
        say(f"note: {unsure}: dvc repro sample")


def fits(root: Path) -> str | None:
    """Return if data/sample is what params.yaml asks for, with what could not be looked at.

    Raises:
        MissingError: it was drawn by other params; the next command.
        DataError: dvc.lock is broken, and DVC does nothing with it either; the next command.
    """
    unknown = [stage for stage in DRAWN if stage not in here.locked(root)]
    other = here.differing(DRAWN, root)
    if other:
        named = ", ".join(other[:3]) + f" and {len(other) - 3} more" * (len(other) > 3)
        absent = here.source(params.load(root / params.PARAMS), root)
        first = f"{absent.command}; then " if absent else ""
        raise MissingError(f"data/sample is of other params ({named}): run first: {first}dvc repro sample")
    if not unknown:
        return None
    why = f"no {unknown[-1]} in dvc.lock" if (root / "dvc.lock").is_file() else "no dvc.lock"
    return f"whether data/sample fits params.yaml is not known ({why})"


def jobs() -> Iterator[Job | Rough]:
    """Yield what the stages would ask, by params.yaml and the files that are here."""
    languages = params.languages()
    writer = params.section("query", query.Params)
    judges = params.section("grade", grade.Params)
    yield query.job(writer, languages)
    for job in grade.jobs(judges, params.shared("annotators"), languages):
        yield job if current(languages, writer) else rough(job, languages, writer)


def current(languages: Sequence[str], writer: query.Params) -> bool:
    """Do data/query and data/candidate belong to params.yaml and to the sample that is here?"""
    if here.differing(("encoder", "query", "candidate"), Path()):
        return False
    for lang in languages:
        paths = [folder / f"{lang}.parquet" for folder in (query.OUT, grade.CANDIDATE)]
        if not all(path.is_file() for path in paths):
            return False
        passages = query.sampled(lang, writer.passages, "doc_id")
        expected = {query.query_id(lang, name, style) for (name,) in passages for style in writer.styles}
        if {name for (name,) in table.read_rows(paths[0], "query_id")} != expected:
            return False
        if not {name for (name,) in table.read_rows(paths[1], "query_id")} <= expected:
            return False
    return True


def rough(job: Job, languages: list[str], writer: query.Params) -> Rough:
    """Return the number and size of the pairs that the sample will lead to."""
    depth = int(params.at(params.load(), "candidate.k") or 5)
    requests, characters = {}, {}
    for lang in languages:
        sizes = [
            len(passage_text(title, text))
            for title, text in table.read_rows(Path(query.SAMPLE / f"{lang}.parquet"), "title", "text")
        ]
        written = len(sizes[: writer.passages]) * len(writer.styles)
        requests[lang] = written * min(depth, len(sizes))
        mean = sum(sizes) / max(len(sizes), 1)
        characters[lang] = round(requests[lang] * (job.frame + mean + QUERY))
    return Rough(job, requests, characters)


def _show(line: Line) -> None:
    mark = "~" if line.rough else ""
    say(
        f"{line.stage:<6}{line.model[:23]:<24}{line.language:<4}{mark + format(line.requests, ','):>11}"
        f"{line.cached:>10,}{mark + format(line.new, ','):>11}{short(line.prompt):>7}"
        f"{short(line.completion):>8}{line.online:>10,.2f}{line.batch:>9,.2f}"
    )


def short(count: int) -> str:
    """Return a number of tokens in five characters: 950, 12.3k, 689k, 2.40M, 24.0G."""
    if count < 1000:
        return str(count)
    value, units = count / 1000, ["k", "M", "G"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:#.3g}".rstrip(".") + units[0]
