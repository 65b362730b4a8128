"""The team's remote, asked for real: does it answer, who may do what, and is everything there that should be."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from graded.errors import MissingError, ServiceError, flat
from graded.remote import Remote, bare, configuration, named, plugin, where

#: Seconds that a test of the connection may take in all.
LIMIT = 20.0


def check(root: Path, name: str | None = None) -> str:
    """Write, read and remove a small object in the remote, and return what may be done there.

    Raises:
        MissingError: there is no such remote, or its plug-in is not installed.
        ServiceError: it cannot be reached, does not answer, refuses the credentials, or has no such bucket.
    """
    remote = named(root, name)
    if remote is None:
        raise MissingError(f"no remote {name or 'of the team'} is set; graded remote s3://bucket/prefix")
    plugin(remote.scheme)
    settings = configuration(root)
    ended: Queue[str | BaseException] = Queue()

    def attempt() -> None:
        from dvc.fs import get_cloud_fs

        try:
            kind, values, path = get_cloud_fs(settings, name=remote.name)
            ended.put(_probe(kind(**values), path))
        except BaseException as error:  # noqa: BLE001  (each plug-in has exceptions of its own)
            ended.put(error)

    with _few_tries():
        # A thread that is left behind, because the clients' own time-outs add up to minutes.
        Thread(target=attempt, daemon=True).start()
        try:
            found = ended.get(timeout=LIMIT)
        except Empty:
            found = TimeoutError()
    if isinstance(found, BaseException):
        raise ServiceError(explain(remote, found)) from None
    return found


def _probe(fs: Any, folder: str) -> str:
    path = fs.join(folder, f".graded-check-{secrets.token_hex(6)}")
    try:
        fs.makedirs(folder, exist_ok=True)
        fs.pipe_file(path, b"graded")
    except PermissionError:
        fs.ls(folder)
        return "reads; may not write"
    whole = fs.cat_file(path) == b"graded"
    fs.remove(path)
    if not whole:
        raise OSError("an object came back other than it was written")
    return "reads and writes"


def mend(root: Path, files: Mapping[str, Path]) -> int:
    """Send those of ``files`` (MD5 to local path) that the team's remote lacks or has in another size; return how many.

    DVC takes a folder that it has once sent for complete, whatever has gone from the remote since.
    """
    from dvc.fs import get_cloud_fs

    remote = named(root)
    if remote is None:
        return 0
    kind, values, path = get_cloud_fs(configuration(root), name=remote.name)
    fs, sent = kind(**values), 0
    try:
        for name, local in files.items():
            target = fs.join(path, "files", "md5", name[:2], name[2:])
            if not fs.exists(target) or fs.info(target)["size"] != local.stat().st_size:
                fs.makedirs(fs.parent(target), exist_ok=True)
                fs.put_file(str(local), target)
                sent += 1
    except Exception as error:  # noqa: BLE001  (each plug-in has exceptions of its own)
        raise ServiceError(explain(remote, error)) from None
    return sent


def explain(remote: Remote, error: BaseException) -> str:
    """Return one line about why ``remote`` failed: what was tried, the likely cause, what to do."""
    names, said = set(), flat(error)
    link: BaseException | None = error
    while link is not None:
        names |= {kind.__name__ for kind in type(link).__mro__}
        link = link.__cause__ or link.__context__
    at = bare(str(remote.options.get("endpointurl") or remote.url))
    same = "nothing was lost, and the same command goes on"
    if names & {"FileNotFoundError", "NoSuchBucket"}:
        return f"{remote}: no such bucket or folder ({said}); create it, or correct it: graded remote URL"
    if names & {"ConnectTimeoutError", "ReadTimeoutError", "TimeoutError"}:
        return f"{remote}: {at} is too slow: no answer within {LIMIT:g} s; {same}"
    if names & {"EndpointConnectionError", "ConnectionError", "gaierror", "ClientConnectorError", "ConnectionLost"}:
        return f"{remote}: cannot reach {at}; check the network and the address (graded remote URL --endpoint); {same}"
    if "PermissionError" in names or any(
        "Credential" in one or "Authentic" in one or "Permission" in one or "ProfileNotFound" in one for one in names
    ):
        return f"{remote}: credentials missing or refused ({said}); {where(remote.scheme)}; {same}"
    return f"{remote}: {type(error).__name__}: {said}; {same}"


@contextmanager
def _few_tries() -> Iterator[None]:
    before = os.environ.get("AWS_MAX_ATTEMPTS")
    os.environ["AWS_MAX_ATTEMPTS"] = "2"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AWS_MAX_ATTEMPTS"]
        else:
            os.environ["AWS_MAX_ATTEMPTS"] = before
