"""The threshold tau: a graded pair is a positive where its grade is at least tau.

Source: Section 3 of "The Overlooked Role of Graded Relevance Thresholds in Multilingual Dense Retrieval":
positives have s >= tau, negatives s < tau, for tau in {1, 2, 3}. Fractions serve expected and averaged grades.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graded.errors import ParamError, one_of

LEGAL = "a number above 0 and up to 3, or one per language: {default: 2, fi: 1}"


def thresholds(tau: Any, languages: Iterable[str]) -> dict[str, float]:
    """Return tau of each language.

    Args:
        tau: a number, or a mapping from language (and ``default``) to a number.
        languages: the languages of the run.

    Raises:
        ParamError: a value outside (0, 3], a language that is not in the run, or a language without a value.
    """
    languages = list(languages)
    if not isinstance(tau, Mapping):
        return dict.fromkeys(languages, _legal("tau", tau))
    values = {str(key): _legal(f"tau.{key}", value) for key, value in tau.items()}
    for key in values:
        if key != "default" and key not in languages:
            raise ParamError(f"tau: {one_of(key, [*languages, 'default'])}")
    missing = [lang for lang in languages if lang not in values and "default" not in values]
    if missing:
        raise ParamError(f"tau: no value for {', '.join(missing)} and no default; expected {LEGAL}")
    return {lang: values.get(lang, values.get("default", 0.0)) for lang in languages}


def canonical(tau: float | Mapping[str, float]) -> str:
    """Return ``params.yaml``'s tau as one text, as results tables hold it: ``2``, or ``default=2,fi=1``."""
    if not isinstance(tau, Mapping):
        return f"{float(tau):g}"
    return ",".join(f"{lang}={float(tau[lang]):g}" for lang in sorted(tau, key=lambda lang: (lang != "default", lang)))


def told(text: str) -> str:
    """Return a tau of :func:`canonical` for reading, equal for equal thresholds: ``2``, or ``2, fi 1``."""
    if "=" not in text:
        return text
    values = dict(part.split("=") for part in text.split(","))
    default = values.pop("default", None)
    if default is None and len({*values.values()}) == 1:
        return next(iter(values.values()))
    apart = [f"{lang} {value}" for lang, value in sorted(values.items()) if value != default]
    return ", ".join(([default] if default is not None else []) + apart)


def _legal(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3:
        raise ParamError(f"{name}: received {value!r}; expected {LEGAL}")
    return float(value)
