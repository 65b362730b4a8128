"""One chat request: where it goes, what came back, and whether what came back may have been billed.

The openai package says what it would send to each family (URL, credentials, Azure's deployments and versions); the
request itself goes through aiohttp, which costs a tenth of the package's CPU time a request.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from graded.errors import MissingError, ParamError, flat
from graded.formats.redact import HIDDEN, SHORTEST, hide, redact, secrets
from graded.llm.lines import dumps, loads
from graded.llm.reply import Reply, from_completion
from graded.llm.request import Messages, Model, check_address, wire

#: What can become of a request:
#: reply  - something to keep, billed by its usage (a filtered prompt is free of charge)
#: free   - surely not billed; may be asked again
#: lost   - may have been billed, and nothing usable came back; may be asked again
#: fatal  - the endpoint will not answer any request like this
Kind = Literal["reply", "free", "lost", "fatal"]

#: Codes of a prompt that is too long; kept as an empty reply with this finish reason, which reads as unparseable.
_TOO_LONG = ("context_length_exceeded", "string_above_max_length")
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_FILTERED = "ResponsibleAIPolicyViolation"
_KEYS = {"azure": "AZURE_OPENAI_API_KEY", "vllm": "VLLM_API_KEY"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
#: Where each family's address stands when it is not in params.yaml.
_ADDRESSES = {"azure": "AZURE_OPENAI_ENDPOINT", "openai": "OPENAI_BASE_URL"}
#: Bytes that a response may have; a reply with logprobs has about 10,000.
MOST = 1 << 24
_OURS = ("host", "content-length", "content-type", "accept-encoding", "connection")


class Answer(NamedTuple):
    """What became of one request; ``why`` is a short word for counts, ``text`` the endpoint's own for messages."""

    kind: Kind
    why: str
    reply: Reply | None = None
    text: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def free_of_charge(self) -> bool:
        """Is this a reply that says that the prompt was not processed?"""
        return self.reply is not None and self.reply.finish_reason in ("content_filter", *_TOO_LONG)


@dataclass(frozen=True)
class Endpoint:
    """Where a model's requests go; ``headers`` carry the credentials and are never shown, nor kept in a reply."""

    url: str
    headers: dict[str, str] = field(repr=False)
    timeout: float
    connections: int

    @cached_property
    def hidden(self) -> tuple[bytes, ...]:
        """What is taken out of whatever the endpoint answers."""
        sent = (self.headers[name] for name in self.headers if name.lower() in ("authorization", "api-key"))
        words = {word for value in sent for word in (value, value.rpartition(" ")[2]) if len(word) >= SHORTEST}
        return tuple(word.encode() for word in sorted({*words, *secrets()}, key=len, reverse=True))

    def session(self) -> aiohttp.ClientSession:
        """Return a connection pool of the right size; use it as a context manager."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.connections, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=self.timeout, sock_connect=30),
            headers=self.headers,
            trust_env=any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


async def endpoint(model: Model, param: str) -> Endpoint:
    """Return where ``model``'s requests go, as the openai package would send them.

    Raises:
        MissingError: the API key's variable is not set.
        ParamError: something else that the family needs is missing; ``param`` names the place in params.yaml.
    """
    import httpx2
    import openai

    seen: list[httpx2.Request] = []

    def look(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(look)) as http:
        try:
            calls = client(model, param, http_client=http)
            body = {"model": model.deployment or model.model}
            await calls.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except openai.OpenAIError as error:
            raise ParamError(f"{param}: {flat(error, 400)}") from None
    headers = {name: value for name, value in seen[0].headers.items() if name.lower() not in _OURS}
    parts = urlsplit(str(seen[0].url))  # a user and password in it are in the headers by now
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return Endpoint(url, {**headers, "Content-Type": "application/json"}, model.timeout, connections=model.in_flight)


def key_name(model: Model) -> str:
    """Return the name of the environment variable with the API key of ``model``; its value is hidden from now on."""
    name = model.key_env or _KEYS.get(model.family, "OPENAI_API_KEY")
    hide(name)
    return name


def client(model: Model, param: str, *, max_retries: int = 0, http_client: Any = None) -> Any:
    """Return the openai package's own client for ``model``; errors as :func:`endpoint`."""
    import openai

    options: dict[str, Any] = {"max_retries": max_retries, "http_client": http_client}
    name = key_name(model)
    secret = os.environ.get(name)
    variable = _ADDRESSES.get(model.family, "")
    if model.base_url is None and os.environ.get(variable):
        try:
            check_address(os.environ[variable])
        except ValueError as error:
            raise ParamError(f"{variable}: received {redact(os.environ[variable])!r}; {error}") from None
    if model.family == "azure":
        if model.base_url:
            options["base_url"] = model.base_url
        return openai.AsyncAzureOpenAI(api_key=secret, **options)
    if model.family == "vllm":
        if not model.base_url:
            raise ParamError(f"{param}.base_url: received null; a vllm model needs its server, as http://host:8000/v1")
        secret = secret or "none"
    if not secret:
        raise MissingError(f"{name} is not set; it holds the API key of {param} ({model.base_url or 'OpenAI'})")
    return openai.AsyncOpenAI(api_key=secret, base_url=model.base_url, **options)


def body(model: Model, messages: Messages) -> bytes:
    """Return the request's body as UTF-8."""
    return dumps(wire(model, messages))


async def ask(session: aiohttp.ClientSession, end: Endpoint, data: bytes) -> Answer:
    """Send one request and say what became of it; raises only what is a bug.

    A redirection is not followed: it would carry the key and the texts to another place.
    """
    try:
        async with session.post(end.url, data=data, allow_redirects=False) as response:
            held = bytearray()
            async for chunk in response.content.iter_any():
                held += chunk
                if len(held) > MOST:
                    response.close()
                    return Answer("lost", "endless reply", text=f"more than {MOST >> 20} MiB")
            return read(response.status, clean(bytes(held), end.hidden), response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        return Answer("free", "no connection", text=str(error))
    except TimeoutError:
        return Answer("lost", "time-out", text="no reply in time")
    except (aiohttp.ClientError, OSError) as error:
        return Answer("lost", "torn connection", text=f"{type(error).__name__}: {error}")


def clean(data: bytes, hidden: Iterable[bytes]) -> bytes:
    """Return a response without the secrets that an endpoint (or a proxy's error page) may repeat."""
    for secret in hidden:
        data = data.replace(secret, HIDDEN.encode())
    return data


def read(status: int, data: bytes, headers: Mapping[str, str]) -> Answer:
    """Return what a response means."""
    try:
        fields = loads(data)
    except ValueError:
        fields = None
    if status == 200:
        try:
            return Answer("reply", "ok", from_completion(fields), headers=headers)
        except ValueError as error:
            return Answer("lost", "malformed reply", text=str(error), headers=headers)
    said = fields.get("error") if isinstance(fields, dict) else None
    said = said if isinstance(said, dict) else {"message": data[:200].decode("utf-8", "replace")}
    code, text = str(said.get("code") or ""), " ".join(str(said.get("message") or "").split())[:300]
    inner = said.get("innererror")
    inner = inner.get("code") if isinstance(inner, dict) else None
    if status == 400 and ("content_filter" in (code, said.get("type")) or inner == _FILTERED):
        return Answer("reply", "ok", Reply("", "content_filter", filtered=True), headers=headers)
    if status == 400 and code in _TOO_LONG:
        return Answer("reply", "ok", Reply("", code), headers=headers)
    if status == 429 and code in _NO_CREDIT:
        return Answer("fatal", code, text=text)
    if status in (408, 409, 429) or status >= 500:
        return Answer("free", str(status), text=text, headers=headers)
    if 300 <= status < 400:
        text = f"it redirects to {headers.get('location', 'nowhere')}; name that as base_url if it is right"
    return Answer("fatal", str(status), text=text)
