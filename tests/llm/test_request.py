"""A key changes with all that can change a reply, and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from graded.llm.request import Model, canonical, key, wire

MESSAGES = [{"role": "user", "content": "hyvää"}]


def model(**changed: Any) -> Model:
    return Model(model="gpt-4o-2024-11-20", **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.5}, {"temperature": None}, {"top_p": 0.9}, {"max_tokens": 65}, {"top_logprobs": 5},
        {"seed": 1}, {"family": "vllm"}, {"family": "azure"}, {"extra": {"response_format": {"type": "text"}}},
    ],
)  # fmt: skip
def test_what_can_change_a_reply_changes_the_key(changed: dict[str, Any]) -> None:
    assert key(model(**changed), MESSAGES) != key(model(), MESSAGES)


@pytest.mark.parametrize(
    "changed",
    [
        {"base_url": "http://localhost:1"}, {"deployment": "ours"}, {"key_env": "OTHER"}, {"in_flight": 3},
        {"timeout": 5}, {"temperature": 0},
    ],
)  # fmt: skip
def test_what_cannot_does_not(changed: dict[str, Any]) -> None:
    assert key(model(**changed), MESSAGES) == key(model(), MESSAGES)


def test_a_key_is_the_same_for_ever() -> None:
    """A change of this value would orphan every reply ever bought."""
    assert key(model(), MESSAGES).hex() == "08587ee2f812ea9d4dc5b2daa9cffee90604d969ff64742a62653b98338ea378"
    assert key(model(), MESSAGES, attempt=2) != key(model(), MESSAGES, attempt=1)


def test_the_body_of_each_family() -> None:
    assert wire(model(family="vllm", top_logprobs=5), MESSAGES) == {
        "model": "gpt-4o-2024-11-20", "messages": MESSAGES, "temperature": 0.0, "max_tokens": 64,
        "logprobs": True, "top_logprobs": 5,
    }  # fmt: skip
    azure = wire(model(family="azure", deployment="ours"), MESSAGES)
    assert (azure["model"], azure["max_completion_tokens"]) == ("ours", 64)
    assert canonical(model(deployment="ours"), MESSAGES)["model"] == "gpt-4o-2024-11-20"


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"max_tokens": 4000}, "set the param max_tokens"),
        ({"max_completion_tokens": 4000}, "set the param max_tokens"),
        ({"temperature": 1}, "set the param temperature"),
        ({"logprobs": True}, "set the param top_logprobs"),
        ({"n": 2}, "one reply"),
        ({"service_tier": "priority"}, "what a token costs.*only default is"),
        ({"web_search_options": {}}, "what a token costs"),
    ],
)
def test_extra_holds_nothing_that_has_a_param_or_changes_the_price(extra: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=rf"extra\.{next(iter(extra))} is not allowed: .*{why}"):
        model(extra=extra)


def test_what_may_stand_in_extra_keeps_its_key() -> None:
    extra = {"service_tier": "default", "response_format": {"type": "text"}, "top_k": 1, "reasoning_effort": "low"}
    assert key(model(extra=extra), MESSAGES).hex() == "b57c40256cf10a59c3dee322f37c890100a907823b5afd9a0698bc0118eb8ddd"
    assert wire(model(extra=extra), MESSAGES).items() >= extra.items()
