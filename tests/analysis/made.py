"""Rows as the stages and `graded results` write them, from formulas: what a figure or table must show is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graded.analysis.tau import canonical
from graded.experiments import tidy

LANGUAGES = ("fi", "ar", "ja", "ru", "es", "en")


def row(**values: Any) -> dict[str, Any]:
    """Return one row of the tidy results with the paper's settings, overridden by ``values``."""
    plain: dict[str, Any] = dict.fromkeys(tidy.COLUMNS)
    plain |= {
        "tau": "1", "tau_target": 1.0, "target": "fi", "size": 150_000, "count": "pairs", "annotator": "gpt-4o",
        "encoder": "intfloat/multilingual-e5-large", "objective": "infonce", "seed": 13, "set": "miracl",
        "role": "test", "query_lang": "fi", "doc_lang": "fi", "system": "tuned", "metric": "nDCG@10", "value": 0.5,
        "queries": 40, "epochs": 2, "batch_size": 32, "learning_rate": 1e-6, "warmup_ratio": 0.05, "lora_rank": 0,
        "train_pairs": 150_000, "train_positives": 50_000, "steps": 9000, "seconds": 1800.0,
    }  # fmt: skip
    plain |= values
    settings = [plain[name] for name in ("target", "tau", "size", "extra", "annotator", "objective", "share_mined")]
    plain["experiment"] = plain["experiment"] or "-".join(str(value) for value in settings)
    if "tau_target" in values and "tau" not in values:
        plain["tau"] = canonical(plain["tau_target"])
    return plain


def value(lang: str, doc: str, tau: float, size: int) -> float:
    """Return the score of an arm: more data helps, low-resource languages like a low tau."""
    low, high = 0.02 * (2 - LANGUAGES.index(lang)), 0.1 * size / (size + 100_000)
    return round(0.6 + high - low * tau * 0.3 - (0.1 if lang != doc else 0.0) + 0.01 * LANGUAGES.index(doc), 4)


def base(lang: str, doc: str) -> float:
    """Return the base encoder's score."""
    return round(0.62 - (0.12 if lang != doc else 0.0) + 0.01 * LANGUAGES.index(doc), 4)


def scored(**values: Any) -> Iterator[dict[str, Any]]:
    """Yield the tuned row, with intervals, and the base row of one arm and direction."""
    one = row(**values)
    theirs = base(one["query_lang"], one["doc_lang"])
    gap = round(one["value"] - theirs, 4)
    ends = {"low": one["value"] - 0.012, "high": one["value"] + 0.012}
    yield one | ends | {"difference": gap, "difference_low": gap - 0.01, "difference_high": gap + 0.01, "p": 0.03}
    yield one | {"system": "base", "value": theirs, "low": theirs - 0.012, "high": theirs + 0.012}


def figure5(sizes: tuple[int, ...] = (50_000, 150_000, 300_000), **values: Any) -> list[dict[str, Any]]:
    """Return the rows of a sweep of tau and size over all languages, each trained alone."""
    return [
        one
        for lang in LANGUAGES
        for tau in (1.0, 2.0, 3.0)
        for size in sizes
        for one in scored(
            target=lang, query_lang=lang, doc_lang=lang, tau_target=tau, size=size, sweep="figure5",
            value=value(lang, lang, tau, size), **values,
        )
    ]  # fmt: skip


def table1() -> list[dict[str, Any]]:
    """Return the rows of the mixtures; ja is no target, as in the paper."""
    rows = figure5((150_000,))
    for lang in LANGUAGES:
        for extra in LANGUAGES:
            for tau in (1.0, 2.0, 3.0):
                if extra != lang and lang not in ("ja", "en"):
                    rows += scored(
                        target=lang, query_lang=lang, doc_lang=lang, tau_target=tau, tau_extra=tau, extra=extra,
                        extra_size=150_000, sweep="table1", train_pairs=300_000,
                        value=round(value(lang, lang, tau, 150_000) * (1 + 0.02 * (LANGUAGES.index(extra) - 3)), 4),
                    )  # fmt: skip
    return rows


def figure7() -> list[dict[str, Any]]:
    """Return the rows of all directions of clirmatrix, which has no Finnish."""
    return [
        one
        for lang in LANGUAGES[1:]
        for doc in LANGUAGES[1:]
        for tau in (1.0, 2.0, 3.0)
        for one in scored(
            set="clirmatrix", target=lang, query_lang=lang, doc_lang=doc, tau_target=tau, size=300_000,
            sweep="figure7", value=value(lang, doc, tau, 300_000),
        )
    ]  # fmt: skip


def objectives() -> list[dict[str, Any]]:
    """Return the rows of three objectives at two taus, equal steps."""
    return [
        one
        for lang in LANGUAGES
        for place, objective in enumerate(("infonce", "bixse", "jointlh"))
        for tau in (1.0, 2.0)
        for one in scored(
            target=lang, query_lang=lang, doc_lang=lang, tau_target=tau, objective=objective, steps=500,
            sweep="objectives", value=value(lang, lang, tau, 150_000) + 0.01 * place,
        )
    ]  # fmt: skip


def mined() -> list[dict[str, Any]]:
    """Return the rows of five shares of mined negatives, MRR@10."""
    return [
        one
        for lang in LANGUAGES
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        for one in scored(
            target=lang, query_lang=lang, doc_lang=lang, share_mined=share, metric="MRR@10", sweep="hard-negatives",
            value=round(0.6 + 0.05 * share * (1 - share) + 0.01 * LANGUAGES.index(lang), 4),
        )
    ]  # fmt: skip


def sweep() -> list[dict[str, Any]]:
    """Return the rows of every named sweep."""
    return [*table1(), *figure5((50_000, 300_000)), *figure7(), *objectives(), *mined()]


def grades() -> list[dict[str, Any]]:
    """Return Figure 3's counts for two annotators; a few refusals in Arabic."""
    return [
        {"annotator": name, "lang": lang, "grade": grade, "pairs": 400 - 70 * grade + 30 * (name == "b") + 10 * place}
        for name in ("a", "b")
        for place, lang in enumerate(LANGUAGES)
        for grade in range(4)
    ] + [{"annotator": "b", "lang": "ar", "grade": None, "pairs": 31}]


def agreement() -> list[dict[str, Any]]:
    """Return Figure 4's counts: mostly the diagonal."""
    return [
        {"lang": lang, "first": "a", "second": "b", "first_grade": one, "second_grade": two}
        | {"pairs": [300, 60, 10, 2][abs(one - two)] + place}
        for place, lang in enumerate(LANGUAGES)
        for one in range(4)
        for two in range(4)
    ]
