"""Secrets planted in the environment, and a search for them through all that a run leaves, compressed files too."""

from __future__ import annotations

import base64
import gzip
import io
import json
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import zstandard

from tests.standin import StandIn
from tests.standin.http import Request, Response


def _planted(name: str) -> str:
    """Return a value that stands in no file of this repository, not in this one either."""
    return f"{name.lower()}-{sha256(name.encode()).hexdigest()[:24]}"


#: What no file may hold. The address has a user and a password of its own.
USER, PASSWORD = _planted("user"), _planted("pass/+word")
SECRETS = {
    name: _planted(name)
    for name in ("OPENAI_API_KEY", "VLLM_API_KEY", "AZURE_OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN")
}


def address(url: str) -> str:
    """Return ``url`` with the planted user and password in it."""
    return url.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@", 1)


def needles() -> dict[str, bytes]:
    """Return every form of every secret that is looked for."""
    found = {**SECRETS, "password": PASSWORD, "quoted password": quote(PASSWORD, safe="")}
    found["Basic"] = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return {name: value.encode() for name, value in found.items()}


class Echo(StandIn):
    """A server that repeats, wherever a client may keep it, the credentials that it was sent."""

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        sent = " ".join(request.headers.get(name, "") for name in ("authorization", "api-key")).strip()
        try:
            body = json.loads(response.body)
        except ValueError:
            return response
        if "choices" in body:
            body["system_fingerprint"] = sent
            body["choices"][0]["message"]["content"] += f" ({sent})"
        elif "error" in body:
            body["error"]["message"] += f": {sent} is not right"
        response.body = json.dumps(body).encode()
        return response


def contents(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and what they unpack to."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"\x28\xb5\x2f\xfd":
        yield zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        for name in table.column_names:
            yield "\n".join(str(value) for value in table.column(name).to_pylist()).encode("utf-8", "replace")


def found(folder: Path, *texts: str) -> list[str]:
    """Return where the secrets stand in ``folder`` (git's objects too) and in ``texts``; looks at every file."""
    looked_for = needles()
    places = [f"{name} in text {index}" for index, text in enumerate(texts) for name in _in(text.encode(), looked_for)]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            places += [f"{name} in {path}" for data in contents(path) for name in _in(data, looked_for)]
    if (folder / ".git").exists():
        command = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
        objects = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
        places += [f"{name} in git's objects" for name in _in(objects, looked_for)]
    return places


def _in(data: bytes, looked_for: dict[str, bytes]) -> list[str]:
    return [name for name, value in looked_for.items() if value in data]
