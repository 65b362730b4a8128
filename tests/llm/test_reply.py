"""A reply survives the ledger; logprobs keep what a grade parser needs."""

from __future__ import annotations

import json

import pytest

from graded.llm.reply import Reply, TokenTop, from_completion, from_json, shorten, to_json


def token(text: str, logprob: float, *top: tuple[str, float]) -> dict[str, object]:
    return {
        "token": text,
        "logprob": logprob,
        "bytes": None,
        "top_logprobs": [{"token": one, "logprob": value, "bytes": None} for one, value in top],
    }


BODY = {
    "model": "gpt-4o-2024-11-20",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Grade: 2", "refusal": None},
            "logprobs": {
                "content": [
                    token("Gra", -0.1, ("Gra", -0.1)),
                    token("de: ", -0.1),
                    token("2", -0.2, ("2", -0.2), ("3", -1.8)),
                ]
            },
        }
    ],
    "usage": {"prompt_tokens": 700, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 512}},
}


def test_a_completion_survives_the_ledger() -> None:
    reply = from_completion(BODY)
    assert reply.text == "Grade: 2"
    assert reply.usage is not None
    assert (reply.usage.prompt, reply.usage.completion, reply.usage.cached) == (700, 3, 512)
    assert reply.logprobs == (TokenTop("Grade: ", ()), TokenTop("2", (("2", -0.2), ("3", -1.8))))
    assert from_json(json.loads(json.dumps(to_json(reply)))) == reply


def test_shortened_logprobs_still_spell_the_reply() -> None:
    tokens = [("I", []), (" say", [("0", -3.0)]), (" ", []), ("٢", []), (".", [])]
    assert "".join(one.token for one in shorten(tokens)) == "I say ٢."
    assert shorten(tokens)[1].top == (("0", -3.0),)


def test_a_filtered_reply_is_marked() -> None:
    choice = {"finish_reason": "content_filter", "message": {"content": None}}
    assert from_completion({"choices": [choice]}) == Reply("", "content_filter", filtered=True)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{"message": None}]}, {"choices": 3}])
def test_another_body_is_an_error(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no chat completion"):
        from_completion(body)
