"""One reply of a chat endpoint, as the ledger keeps it and the parsers read it.

Everything that a better parser could need is here; what a request or an API key holds is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple


class TokenTop(NamedTuple):
    """One stretch of the reply's tokens.

    ``token`` is the text that was sampled. ``top`` are the endpoint's most likely tokens at that place with their
    natural-log probabilities, most likely first; it is empty where neither the sampled token nor an alternative
    holds a digit (such places are joined into one stretch, so the stretches still spell the reply).
    """

    token: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Billed tokens of one reply: ``cached`` are those of ``prompt`` that the endpoint had cached."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply.

    Attributes:
        text: what the model wrote; empty where it wrote nothing.
        finish_reason: the endpoint's word for why it stopped: ``stop``, ``length``, ``content_filter`` ...; None if
            it gave none.
        refusal: the model's own refusal text where the endpoint reports one apart from ``text``.
        logprobs: see :class:`TokenTop`; None where none were asked for or given.
        usage: billed tokens; None for a recorded reply that nobody billed.
        model: the snapshot that the endpoint says has answered.
        system_fingerprint: the endpoint's build, where it tells.
        filtered: a content filter took the prompt (HTTP 400) or the reply (finish_reason ``content_filter``).
    """

    text: str
    finish_reason: str | None = "stop"
    refusal: str | None = None
    logprobs: tuple[TokenTop, ...] | None = None
    usage: Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    filtered: bool = False


def shorten(tokens: Iterable[tuple[str, Iterable[tuple[str, float]]]]) -> tuple[TokenTop, ...]:
    """Return ``tokens`` (token, alternatives) with the alternatives kept only where a digit is among them."""
    kept: list[TokenTop] = []
    for token, alternatives in tokens:
        top = tuple((str(text), _finite(logprob)) for text, logprob in alternatives)
        if any(character.isdigit() for text in (token, *(text for text, _ in top)) for character in text):
            kept.append(TokenTop(token, top))
        elif kept and not kept[-1].top:
            kept[-1] = TokenTop(kept[-1].token + token, ())
        else:
            kept.append(TokenTop(token, ()))
    return tuple(kept)


def _finite(logprob: Any) -> float:
    """Return a log probability in six digits; where it is none, what OpenAI writes for a token of no probability."""
    value = float(logprob)
    return round(value, 6) if math.isfinite(value) else -9999.0


def from_completion(body: dict[str, Any]) -> Reply:
    """Return the first choice of a ``chat.completion`` body.

    Raises:
        ValueError: the body is no chat completion (no ``choices``, or a field of another type).
    """
    try:
        choice = body["choices"][0]
        message = choice["message"]
        tokens = (choice.get("logprobs") or {}).get("content")
        finish_reason = choice.get("finish_reason")
        return Reply(
            text=_text(message.get("content")) or "",
            finish_reason=_text(finish_reason),
            refusal=_text(message.get("refusal")),
            logprobs=None if tokens is None else shorten((str(one["token"]), _top(one)) for one in tokens),
            usage=_usage(body.get("usage")),
            model=_text(body.get("model")),
            system_fingerprint=_text(body.get("system_fingerprint")),
            filtered=finish_reason == "content_filter",
        )
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no chat completion ({type(error).__name__}: {error})") from None


def to_json(reply: Reply) -> dict[str, Any]:
    """Return ``reply`` for the ledger: what is None, empty or false is left out; tuples are JSON's arrays."""
    fields: dict[str, Any] = {"text": reply.text}
    for name in ("finish_reason", "refusal", "model", "system_fingerprint"):
        if getattr(reply, name) is not None:
            fields[name] = getattr(reply, name)
    if reply.filtered:
        fields["filtered"] = True
    if reply.usage is not None:
        fields["usage"] = [reply.usage.prompt, reply.usage.completion, reply.usage.cached]
    if reply.logprobs is not None:
        fields["logprobs"] = [(token, top) for token, top in reply.logprobs]
    return fields


def from_json(fields: dict[str, Any]) -> Reply:
    """Return the reply that :func:`to_json` wrote."""
    usage, logprobs = fields.get("usage"), fields.get("logprobs")
    return Reply(
        text=fields["text"],
        finish_reason=fields.get("finish_reason"),
        refusal=fields.get("refusal"),
        logprobs=None
        if logprobs is None
        else tuple(TokenTop(token, tuple((text, value) for text, value in top)) for token, top in logprobs),
        usage=None if usage is None else Usage(*usage),
        model=fields.get("model"),
        system_fingerprint=fields.get("system_fingerprint"),
        filtered=bool(fields.get("filtered")),
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{type(value).__name__} where a text belongs")


def _top(token: dict[str, Any]) -> list[tuple[str, float]]:
    top = [(one["token"], one["logprob"]) for one in token.get("top_logprobs") or []]
    return top or [(token["token"], token["logprob"])]


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        int(usage.get("prompt_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
        int(details.get("cached_tokens") or 0),
    )
