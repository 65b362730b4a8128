"""Hostile passages: how much an annotator's grades rise because of what a passage says about its own grade.

Each pair of prompts/probes.yaml is graded as it is and under each attack; the difference is the inflation
(arXiv 2501.17969 measured such attacks on relevance judges). The requests are made as the grade stage makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from graded.errors import DataError, one_of
from graded.formats import yaml12
from graded.llm.replies import GradeReading

PROBES = Path("prompts/probes.yaml")


class Probe(NamedTuple):
    """One pair under one attack; ``kind`` and ``hostile`` are empty for the pair as it is."""

    language: str
    pair: str
    kind: str
    query: str
    passage: str


class Row(NamedTuple):
    """One line of the report.

    ``probes`` were attacked; ``compared`` of them have a grade, and so has their clean pair. ``clean`` and
    ``hostile`` are mean grades over those, ``inflation`` is their difference, ``raised`` the share graded higher
    under attack, ``expected`` the inflation of the expected grade. None where there is nothing to compare.
    """

    name: str
    probes: int
    compared: int
    clean: float | None
    hostile: float | None
    inflation: float | None
    raised: float | None
    expected: float | None


def probes(path: Path = PROBES, languages: Sequence[str] | None = None) -> list[Probe]:
    """Return all probes of ``languages`` (default: all of the file), each clean pair before its attacks.

    Raises:
        MissingError: no such file.
        DataError: it is not laid out as the shipped one.
    """
    held = yaml12.read(path, f"'git checkout {path}' brings it back", DataError)
    try:
        known = [code for code in held if code != "any"]
        for code in languages or ():
            if code not in known:
                raise DataError(f"{path}: language {one_of(code, known)}")
        return [probe for code in languages or known for probe in _of(code, held[code], held.get("any") or {})]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not laid out as languages with pairs and attacks ({error!r})") from None


def _of(code: str, held: dict[str, Any], general: dict[str, list[str]]) -> Iterable[Probe]:
    for name, pair in held["pairs"].items():
        yield Probe(code, name, "", pair["query"], pair["passage"])
        for attacks in (held["attacks"], general):
            for kind, templates in attacks.items():
                for template in templates:
                    text = template.replace("{query}", pair["query"]).replace("{passage}", pair["passage"])
                    yield Probe(code, name, kind, pair["query"], text)


def report(asked: Sequence[Probe], readings: Sequence[GradeReading]) -> list[Row]:
    """Return a row a kind of attack, a row a language, and one for all, from the readings of ``asked`` in order."""
    clean = {
        (probe.language, probe.pair): reading for probe, reading in zip(asked, readings, strict=True) if not probe.kind
    }
    attacked = [
        (probe, clean[probe.language, probe.pair], reading)
        for probe, reading in zip(asked, readings, strict=True)
        if probe.kind
    ]

    def rows(of: Callable[[Probe], str]) -> list[Row]:
        names = dict.fromkeys(of(probe) for probe, _, _ in attacked)
        return [_row(name, [(one, other) for probe, one, other in attacked if of(probe) == name]) for name in names]

    return [
        *rows(lambda probe: probe.kind),
        *rows(lambda probe: probe.language),
        _row("all", [(one, other) for _, one, other in attacked]),
    ]


def _row(name: str, couples: list[tuple[GradeReading, GradeReading]]) -> Row:
    graded = [(one.grade, other.grade) for one, other in couples if one.grade is not None and other.grade is not None]
    if not graded:
        return Row(name, len(couples), 0, None, None, None, None, None)
    clean, hostile = (sum(grades) / len(graded) for grades in zip(*graded, strict=True))
    raised = sum(other > one for one, other in graded) / len(graded)
    gaps = [
        other.expected - one.expected
        for one, other in couples
        if one.expected is not None and other.expected is not None
    ]
    expected = sum(gaps) / len(gaps) if gaps else None
    return Row(name, len(couples), len(graded), clean, hostile, hostile - clean, raised, expected)
