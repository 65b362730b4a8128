"""One comment on a pull request, made once and then updated in place: https://docs.github.com/rest/issues/comments."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from graded.errors import MissingError, ServiceError

TIMEOUT = 30.0


def pull_request(environment: Mapping[str, str]) -> tuple[str, str, int]:
    """Return the API's address, the repository and the pull request's number of the workflow that runs this.

    Raises:
        MissingError: this is no workflow of a pull request, or it has no token.
    """
    wanted = ("GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_EVENT_PATH")
    absent = [name for name in wanted if not environment.get(name)]
    if absent:
        raise MissingError(f"review --post: {', '.join(absent)} not set; it runs in a workflow, see docs/review.md")
    event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = event.get("pull_request", {}).get("number") if isinstance(event, dict) else None
    if not isinstance(number, int):
        raise MissingError("review --post: this event is of no pull request; run the workflow on pull_request")
    api = environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    if urlsplit(api).scheme not in ("https", "http"):
        raise MissingError(f"review --post: GITHUB_API_URL: received {api!r}; an https:// address is needed")
    return api, environment["GITHUB_REPOSITORY"], number


def post(environment: Mapping[str, str], text: str, marker: str) -> str:
    """Write ``text`` over the comment that starts with ``marker``, or as a new one; return its address.

    Raises:
        MissingError: see pull_request.
        ServiceError: GitHub says no; a token never stands in the line.
    """
    api, repository, number = pull_request(environment)
    issues = f"{api}/repos/{repository}/issues"
    mine = next((one for one in _comments(environment, f"{issues}/{number}/comments", marker)), None)
    if mine is None:
        done = _call(environment, "POST", f"{issues}/{number}/comments", {"body": text})
    else:
        done = _call(environment, "PATCH", f"{issues}/comments/{int(mine)}", {"body": text})
    return str(done.get("html_url", ""))


def _comments(environment: Mapping[str, str], address: str, marker: str) -> Iterator[int]:
    for page in range(1, 100):
        found = _call(environment, "GET", f"{address}?per_page=100&page={page}")
        for one in found:
            # Anyone may write the marker into a comment; only a workflow's own can be changed.
            if str(one.get("body", "")).startswith(marker) and one.get("user", {}).get("type") == "Bot":
                yield int(one["id"])
        if len(found) < 100:
            return


def _call(environment: Mapping[str, str], method: str, address: str, body: Any = None) -> Any:
    request = urllib.request.Request(address, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("Accept", "application/vnd.github+json")
    request.add_header("Authorization", f"Bearer {environment['GITHUB_TOKEN']}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        hint = "; the job needs permissions: pull-requests: write" if error.code in (401, 403, 404) else ""
        raise ServiceError(
            f"review --post: {method} {urlsplit(address).path}: {error.code} {error.reason}{hint}"
        ) from None
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise ServiceError(f"review --post: {urlsplit(address).netloc} cannot be reached: {error}") from None
