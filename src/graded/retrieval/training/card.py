"""README.md of a model folder: what the weights are, what they were trained on and how.

The card that training writes is a pure function of its inputs, so that equal weights come with equal cards; what is
known only later (metrics, the commit that is pushed) is put in by `graded push-model`, through :func:`completed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

#: The heading before which results stand.
USE = "## Use"


class Facts(NamedTuple):
    """What a card says. ``pairs`` and ``positives`` count by language; ``tau`` is a number or one by language."""

    base: str
    revision: str | None
    languages: list[str]
    pairs: Mapping[str, int]
    positives: Mapping[str, int]
    tau: Any
    gain: str
    annotator: str
    objective: str
    temperature: float
    steps: int
    batch_size: int
    learning_rate: float
    max_length: int
    pooling: str
    query_prefix: str
    passage_prefix: str


def render(facts: Facts) -> str:
    """Return the card as training writes it."""
    head = {
        "language": facts.languages,
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "dense-retrieval", "graded-relevance", "feature-extraction"],
        **({"base_model": facts.base} if "/" in facts.base else {}),
    }
    tau = (
        ", ".join(f"{key} {value}" for key, value in facts.tau.items()) if isinstance(facts.tau, Mapping) else facts.tau
    )
    exact = {"linear": "grade / 3", "exponential": "(2^grade - 1) / 7"}[facts.gain]
    meaning = (
        f"Every pair was trained on, with the target {exact}; tau = {tau} only counts the positives below."
        if facts.objective == "bixse"
        else f"A pair is a positive where its grade is at least tau = {tau}."
    )
    rows = [f"| {lang} | {facts.pairs[lang]:,} | {facts.positives[lang]:,} |" for lang in facts.languages]
    lines = [
        "---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(), "---", "",
        f"# {facts.base}, fine-tuned on graded relevance", "",
        f"A dense retrieval encoder: {facts.base}"
        + (f" at revision {facts.revision}" if facts.revision else "")
        + f", fine-tuned on query-passage pairs that an LLM ({facts.annotator}) graded from 0 to 3. {meaning}", "",
        "| language | graded pairs | positives |", "|---|---|---|", *rows, "",
        f"Objective `{facts.objective}`, temperature {facts.temperature:g}, {facts.steps:,} steps of "
        f"{facts.batch_size}, AdamW at {facts.learning_rate:g}.", "",
        f"Pooling `{facts.pooling}`; texts are cut at {facts.max_length} tokens; a query is prefixed with "
        f"`{facts.query_prefix}` and a passage (title, then text) with `{facts.passage_prefix}`.", "",
        *(["`bixse.json` holds the scale and the bias that were learned: sigmoid(scale * cosine + bias) estimates a "
           "target.", ""] if facts.objective == "bixse" else []),
        USE, "", "```python", "from sentence_transformers import SentenceTransformer", "",
        'model = SentenceTransformer("path/to/this/folder")',
        'query = model.encode("...", prompt_name="query")', 'passages = model.encode(["..."], prompt_name="passage")',
        "scores = model.similarity(query, passages)", "```", "",
        "The candidates that were graded came from the base encoder, so the data and any pooled evaluation favour it.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def completed(card: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], commit: str | None) -> str:
    """Return ``card`` with its results and the commit that made it, in front of its section on use.

    ``metrics`` is metrics/evaluate.json: benchmark, then language or direction, then the measures, those of the base
    under ``base``.
    """
    lines = []
    for name, rows in metrics.items():
        measures = list(next(iter(rows.values()))["base"])
        lines += [f"| {name}: base, this model | {' | '.join(measures)} |", "|---" * (len(measures) + 1) + "|"]
        for key, values in rows.items():
            cells = [f"{values['base'][measure]:.4f}, {values[measure]:.4f}" for measure in measures]
            lines.append(f"| {key} | {' | '.join(cells)} |")
        lines.append("")
    if commit:
        lines += [f"Made by commit {commit}.", ""]
    added = ["## Results", "", *lines] if lines else []
    return card.replace(f"{USE}\n", "\n".join([*added, USE, ""]), 1)
