"""Where requests go, what a response means, and how fast the next one may leave."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from graded.errors import MissingError, ParamError
from graded.llm import client
from graded.llm.client import Answer, Endpoint, ask, endpoint, read
from graded.llm.pace import Pace, back_off, retry_after, seconds
from graded.llm.request import Model
from tests.standin import StandIn
from tests.standin.http import Request, Response


def end(**fields: Any) -> Endpoint:
    return asyncio.run(endpoint(Model(**{"model": "gpt-4o-2024-11-20", **fields}), "query"))


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN",
                 "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION", "VLLM_API_KEY"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def test_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert end().url == "https://api.openai.com/v1/chat/completions"
    found = {name.lower(): value for name, value in end().headers.items()}
    assert found["authorization"] == "Bearer secret"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://proxy/v1")
    assert end().url == "http://proxy/v1/chat/completions"
    assert end(base_url="http://other/v1").url == "http://other/v1/chat/completions"


def test_another_variable_can_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "ours")
    found = {name.lower(): value for name, value in end(key_env="TEAM_KEY").headers.items()}
    assert found["authorization"] == "Bearer ours"


def test_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamError, match="query: "):
        end(family="azure")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://team.openai.azure.com")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "secret")
    found = end(family="azure", deployment="ours")
    path = "https://team.openai.azure.com/openai/deployments/ours/chat/completions?api-version=2024-10-21"
    assert found.url == path
    assert {name.lower(): value for name, value in found.headers.items()}["api-key"] == "secret"


def test_vllm_needs_a_server_and_no_key() -> None:
    with pytest.raises(ParamError, match=r"query\.base_url: received null"):
        end(family="vllm")
    assert end(family="vllm", base_url="http://gpu:8000/v1").url == "http://gpu:8000/v1/chat/completions"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(MissingError, match="OPENAI_API_KEY is not set"):
        end()


def failure(code: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": "no", "code": code, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "data", "kind", "why"),
    [
        (200, b"{", "lost", "malformed reply"),
        (200, b"[]", "lost", "malformed reply"),
        (200, b'{"choices": []}', "lost", "malformed reply"),
        (400, failure("content_filter"), "reply", "ok"),
        (400, failure("", innererror={"code": "ResponsibleAIPolicyViolation"}), "reply", "ok"),
        (400, failure("context_length_exceeded"), "reply", "ok"),
        (400, failure("invalid_request_error"), "fatal", "400"),
        (401, failure("invalid_api_key"), "fatal", "401"),
        (404, b"<html>", "fatal", "404"),
        (429, failure("rate_limit_exceeded"), "free", "429"),
        (429, failure("insufficient_quota"), "fatal", "insufficient_quota"),
        (500, b"oops", "free", "500"),
        (503, b"", "free", "503"),
    ],
)
def test_what_a_response_means(status: int, data: bytes, kind: str, why: str) -> None:
    answer = read(status, data, {})
    assert (answer.kind, answer.why) == (kind, why)


def test_a_filtered_prompt_is_an_outcome() -> None:
    reply = read(400, failure("content_filter"), {}).reply
    assert reply is not None
    assert reply.filtered


@pytest.mark.parametrize(
    ("text", "value"), [("20", 20.0), ("1.5s", 1.5), ("6m0s", 360.0), ("250ms", 0.25), ("1h2m3s", 3723.0), ("x", None)]
)
def test_durations(text: str, value: float | None) -> None:
    assert seconds(text) == value
    assert retry_after({"retry-after-ms": "500", "retry-after": "9"}) == 0.5
    assert retry_after({"retry-after": "9999"}) == 300.0


def test_an_http_date_says_when_to_come_back() -> None:
    for ahead, low, high in ((30, 25.0, 30.0), (-30, 0.0, 0.0)):
        date = formatdate(time.time() + ahead, usegmt=True)
        assert low <= (retry_after({"retry-after": date}) or 0.0) <= high
    assert retry_after({"retry-after": "nan"}) is None


def test_waits_grow_and_are_spread() -> None:
    assert [back_off(tries, lambda: 1.0) for tries in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 60.0]
    assert back_off(3, lambda: 0.0) == 1.0


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_the_number_in_flight_falls_once_a_round_and_rises_slowly() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for _ in range(100):
        assert pace.delay() == 0.0
        pace.start()
    assert pace.delay() is None
    for _ in range(50):
        pace.end("429", {"retry-after": "2"})
    assert pace.limit == pytest.approx(70)
    assert pace.delay() == 2.0
    clock.time = 2.5
    assert pace.delay() == 0.0
    for _ in range(50):
        pace.end("ok", {})
    assert 70 < pace.limit < 71
    for _ in range(10_000):
        pace.start()
        pace.end("ok", {})
    assert pace.limit == 100


def test_starts_are_spread_where_the_headers_say_that_little_is_left() -> None:
    clock = Clock()
    pace = Pace(10, clock)
    pace.start()
    pace.end("ok", limits("requests", "600", "60s"))
    pace.start()
    assert pace.delay() == pytest.approx(0.1)
    pace.end("ok", limits("tokens", "1000", "10s"), 50)
    clock.time = 1.0
    pace.start()
    assert pace.delay() == pytest.approx(0.5)


def limits(of: str, most: str, reset: str) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{of}": most, f"x-ratelimit-remaining-{of}": "0", f"x-ratelimit-reset-{of}": reset,
    }  # fmt: skip


class Elsewhere(StandIn):
    """Sends every request on to another address."""

    to = ""

    def handle(self, request: Request) -> Response:
        return Response(307, b"", {"location": self.to})


def asked(server: StandIn, **fields: Any) -> Answer:
    async def once() -> Answer:
        found = await endpoint(Model(**{"model": "m", "base_url": server.base_url, **fields}), "query")
        async with found.session() as session:
            return await ask(session, found, b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}')

    return asyncio.run(once())


def test_a_redirection_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "secret-of-azure")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with StandIn() as other, Elsewhere() as server:
        server.to = f"{other.base_url}/chat/completions"
        answer = asked(server, family="azure")
        assert (answer.kind, answer.why) == ("fatal", "307")
        assert f"redirects to {server.to}" in answer.text
        assert not other.counts.requests


def test_a_reply_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setattr(client, "MOST", 10_000)
    with StandIn(lambda _: "x" * 20_000) as server:
        answer = asked(server)
        assert (answer.kind, answer.why) == ("lost", "endless reply")
