"""What the stand-in says: an answer to a chat request, with usage and logprobs, as the API words it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from graded.llm.prompts import neutral

Body = Mapping[str, Any]
Answer = Callable[[Body], str]

_PAIR = re.compile(r"\AQuery: (?P<query>[^\n]*)\n\nBEGIN PASSAGE (\w+)\n(?P<passage>.*)\nEND PASSAGE \2\n", re.DOTALL)
_PASSAGE = re.compile(r"\ABEGIN PASSAGE (\w+)\n(?P<passage>.*)\nEND PASSAGE \1\n", re.DOTALL)
_STYLE = "a few key words"


def key_of(body: Body) -> str:
    """Return the hash that the stand-in counts a request under: of the whole body, however it was written."""
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def pair_of(body: Body) -> tuple[str, str] | None:
    """Return the query and the passage of a request made from prompts/grade.txt."""
    found = _PAIR.match(body["messages"][-1]["content"])
    return (found["query"], found["passage"]) if found else None


def answer(body: Body) -> str:
    """Return a grade that depends on the messages alone; for prompts/query.txt a query of the passage's own words."""
    content = body["messages"][-1]["content"]
    found = _PASSAGE.match(content)
    digest = sha256(content.encode("utf-8", "surrogatepass")).digest()
    if not found:
        return f"[{digest[0] % 4}]"
    words = [word[:24] for word in found["passage"].split()]  # a script without spaces: not the whole passage
    start = digest[0] % max(len(words) - 4, 1)
    query = " ".join(words[start : start + 5])[:80] or "empty"
    return query if _STYLE in content else f"{query}?"


def table(grades: Mapping[tuple[str, str], int], otherwise: int = 0) -> Answer:
    """Return an answer that looks (query, passage) up in ``grades``; queries are written as :func:`answer` does."""
    framed = {(" ".join(neutral(query).split()), neutral(text)): grade for (query, text), grade in grades.items()}

    def look_up(body: Body) -> str:
        pair = pair_of(body)
        return answer(body) if pair is None else f"[{framed.get(pair, otherwise)}]"

    return look_up


def completion(body: Body, text: str, key: str, fault: str | None) -> dict[str, Any]:
    """Return a ``chat.completion`` that says ``text``, or shows the terminal ``fault``."""
    finish, refusal, content = "stop", None, text
    if fault == "filtered_reply":
        finish, content = "content_filter", ""
    elif fault == "refused":
        refusal, content = "I can't help with that.", ""
    elif fault == "truncated":
        finish, content = "length", "Looking at the passage,"
    elif fault == "nonsense":
        content = "It depends on what is meant."
    prompt = sum(tokens(message["content"]) + 4 for message in body["messages"])
    written = max(1, tokens(content)) if content not in _GRADES else 3
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": content if refusal is None else None, "refusal": refusal},
        "finish_reason": finish,
        "logprobs": {"content": _logprobs(content, body.get("top_logprobs") or 0)} if body.get("logprobs") else None,
    }
    return {
        "id": f"chatcmpl-{key[:24]}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body.get("model", "stand-in"),
        "choices": [choice],
        "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
        "system_fingerprint": "fp_standin",
    }


_GRADES = ("[0]", "[1]", "[2]", "[3]")
_NOT_ASCII, _NOT_WIDE = bytes(range(0x80, 0x100)), bytes([*range(0xE0), *range(0xF0, 0x100)])


def tokens(text: str) -> int:
    """Return about as many as a large byte-pair vocabulary has: 0.23 an ASCII character, 0.33 one of two bytes
    (Cyrillic, Arabic, accented letters), 0.75 one of three (kana, han).
    """
    data = text.encode("utf-8", "replace")
    plain, wide = len(data.translate(None, _NOT_ASCII)), len(data.translate(None, _NOT_WIDE))
    return round(0.23 * plain + 0.33 * (len(data) - plain - 3 * wide) / 2 + 0.75 * wide)


def encoded(answered: dict[str, Any], body: Body) -> bytes:
    """Return a completion as JSON; a grade's logprobs, which are most of it, are written once and spliced in."""
    content = answered["choices"][0]["message"]["content"]
    if not body.get("logprobs") or content not in _GRADES:
        return _dumps(answered).encode()
    choice = {**answered["choices"][0], "logprobs": None}
    text = _dumps({**answered, "choices": [choice]})
    return text.replace('"logprobs":null', _grade_logprobs(content, body.get("top_logprobs") or 0)).encode()


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=128)
def _grade_logprobs(text: str, top: int) -> str:
    return f'"logprobs":{_dumps({"content": _logprobs(text, top)})}'


@lru_cache(maxsize=128)
def _logprobs(text: str, top: int) -> list[dict[str, Any]]:
    tokens = ["[", text[1], "]"] if text in _GRADES else re.findall(r"\s*\S+", text)
    return [_position(token, top) for token in tokens]


def _position(token: str, top: int) -> dict[str, Any]:
    """Return one token: a grade's alternatives get half the probability of the next nearer one, 0.02 goes elsewhere."""
    shares = {token: 1.0}
    if token in ("0", "1", "2", "3"):
        weights = {str(grade): 2.0 ** -abs(grade - int(token)) for grade in range(4)}
        shares = {name: 0.98 * weight / sum(weights.values()) for name, weight in weights.items()} | {"I": 0.02}
    listed = sorted(shares.items(), key=lambda item: -item[1])
    alternatives = [{"token": name, "logprob": math.log(share), "bytes": None} for name, share in listed[:top]]
    return {"token": token, "logprob": math.log(shares[token]), "bytes": None, "top_logprobs": alternatives}
