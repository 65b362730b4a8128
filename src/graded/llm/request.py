"""What is asked: the canonical request, its key in the ledger, and the body that one provider family expects.

The key is the hash of all that can change a reply (provider family, model snapshot, messages, sampling, logprobs,
format, attempt) and of nothing else: not the row, the parser, the API key, the host, or an Azure deployment's name.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from graded.formats.redact import has_credentials
from graded.params import Section

#: Version of the canonical request. A change here would orphan every reply that was ever bought.
SCHEMA = 1

Family = Literal["openai", "azure", "vllm", "recorded"]
#: Families with a batch interface, with the most requests that one of its files may hold.
BATCH: dict[Family, int] = {"openai": 50_000, "azure": 100_000}
Messages = list[dict[str, str]]
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_ONE = "a request has one reply, taken whole"
_PRICED = "it changes what a token costs, or adds tokens that are not in the request: the cap could not hold"
#: Body fields that may not stand in `extra`, and why.
_NOT_EXTRA = {
    "model": "set the param model", "messages": "they are made from prompts/",
    "temperature": "set the param temperature", "top_p": "set the param top_p", "seed": "set the param seed",
    "max_tokens": "set the param max_tokens", "max_completion_tokens": "set the param max_tokens",
    "top_logprobs": "set the param top_logprobs",
    "logprobs": "set the param top_logprobs", "n": _ONE, "best_of": _ONE, "stream": _ONE, "stream_options": _ONE,
    "service_tier": f"{_PRICED}; only default is", "web_search_options": _PRICED, "data_sources": _PRICED,
    "audio": _PRICED, "modalities": _PRICED, "prediction": _PRICED, "models": _PRICED, "plugins": _PRICED,
}  # fmt: skip


class Model(Section):
    """One model at one endpoint, and how it is asked; the params of stage query and of each annotator."""

    model: str = Field(min_length=1, description="snapshot name; part of the ledger's key")
    family: Family = Field("openai", description="openai | azure | vllm | recorded (replies from the ledger alone)")
    base_url: str | None = Field(None, description="endpoint; null: the family's own variable or default")
    deployment: str | None = Field(None, description="Azure's deployment name where it is not `model`")
    batch_deployment: str | None = Field(None, description="Azure's deployment for batches, which is one of its own")
    key_env: str | None = Field(None, description="environment variable of the API key; null: the family's own")
    temperature: float | None = Field(0.0, ge=0, le=2, description="null: the endpoint's default")
    top_p: float | None = Field(None, gt=0, le=1, description="null: the endpoint's default")
    max_tokens: int = Field(64, gt=0, description="tokens a reply may have")
    top_logprobs: int | None = Field(None, ge=1, le=20, description="alternatives a token; null: no logprobs")
    seed: int | None = Field(None, description="best effort at the endpoint; null: none sent")
    extra: dict[str, Any] = Field(default_factory=dict, description="further body fields, sent and hashed as they are")
    in_flight: int = Field(256, ge=1, le=4096, description="requests at once, at most; pacing goes below it by itself")
    timeout: float = Field(120.0, gt=0, description="seconds a request may take")

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            if has_credentials(value):
                raise PydanticCustomError(
                    "secret",
                    "the address carries credentials, and params.yaml is committed; put the key into a variable and "
                    "name it in key_env, or put the whole address into OPENAI_BASE_URL and leave base_url null",
                )
            check_address(value)
        return value

    @field_validator("key_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise PydanticCustomError(
                "secret",
                "expected the NAME of an environment variable in capitals, such as TEAM_API_KEY; a key itself never "
                "stands in params.yaml (if this was one, revoke it)",
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> Model:
        for name, value in self.extra.items():
            if name in _NOT_EXTRA and (name, value) != ("service_tier", "default"):
                raise ValueError(f"extra.{name} is not allowed: {_NOT_EXTRA[name]}")
        return self


def check_address(url: str) -> None:
    """Return if ``url`` is an address that requests can go to.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 1:
        raise ValueError("expected an address such as http://host:8000/v1")


def canonical(model: Model, messages: Messages) -> dict[str, Any]:
    """Return the request in the one form that is hashed."""
    body: dict[str, Any] = {
        "model": model.model, "messages": messages, "temperature": model.temperature, "top_p": model.top_p,
        "max_tokens": model.max_tokens, "top_logprobs": model.top_logprobs, "seed": model.seed,
    }  # fmt: skip
    return {**{name: value for name, value in body.items() if value is not None}, **model.extra}


def key(model: Model, messages: Messages, attempt: int = 1) -> bytes:
    """Return the 32 bytes that name this request in the ledger; ``attempt`` 2 is the first re-asking."""
    request: dict[str, Any] = {"schema": SCHEMA, "family": model.family, "body": canonical(model, messages)}
    if attempt > 1:
        request["attempt"] = attempt
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).digest()


def wire(model: Model, messages: Messages) -> dict[str, Any]:
    """Return the body to send to /chat/completions of the model's family."""
    body = canonical(model, messages)
    if model.family != "vllm":
        body["max_completion_tokens"] = body.pop("max_tokens")
    if model.top_logprobs:
        body["logprobs"] = True
    if model.deployment:
        body["model"] = model.deployment
    return body


def characters(messages: Messages) -> int:
    """Return the number of characters of all messages: what token counts are estimated from."""
    return sum(len(message["content"]) for message in messages)
