"""Downloads that resume, are verified by hash, and appear whole or not at all.

A file arrives as ``<name>.part`` and takes its name when its MD5 is the pinned one. A mirror, a URL or a folder that
holds the same paths, can stand in for the host: the hash says whether it has the same content. Only http and https are
spoken, a redirection included; no path leaves the target folder; no more bytes are taken than a file can have.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple
from urllib.parse import quote, urlsplit

from graded.errors import DataError, GradedError, MissingError, ParamError, ServiceError
from graded.formats.atomic import raise_disk

CHUNK = 1 << 20
#: Seconds without a byte before a try counts as failed; tries, and the pause before the second, doubled each time.
TIMEOUT, TRIES, PAUSE = 60.0, 5, 1.0
#: Most bytes of a file whose size is not known; of others, twice their size (some sizes are hints).
LARGEST = 1 << 36


class Pin(NamedTuple):
    """A file: its path under the target folder, where it comes from, its bytes (0: not known) and MD5."""

    path: str
    url: str
    size: int
    md5: str


def fetch(
    pins: Iterable[Pin],
    folder: Path,
    *,
    mirror: str | None = None,
    workers: int = 4,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Bring ``pins`` into ``folder`` and return their paths; what is there already is verified and kept.

    Args:
        pins: the files.
        folder: where ``<path>`` of each is written.
        mirror: a URL or a folder with the same paths, instead of the pins' own URLs.
        workers: files at a time.
        progress: called with numbers of bytes.

    Raises:
        ParamError: the mirror is neither a URL nor a folder.
        MissingError: the host or mirror has no such file, or asks for a token.
        DataError: the content has another hash; it is deleted.
        ServiceError: the host cannot be reached, after several tries; the next call goes on from there.
    """
    if mirror is not None:
        _check(mirror)

    def one(pin: Pin) -> Path:
        return fetch_one(pin, folder, mirror, progress or (lambda _: None))

    with ThreadPoolExecutor(max_workers=workers) as threads:
        running = [threads.submit(one, pin) for pin in pins]
        try:
            return [task.result() for task in running]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def fetch_one(pin: Pin, folder: Path, mirror: str | None, progress: Callable[[int], None]) -> Path:
    """Bring one file; as :func:`fetch`."""
    target = folder / pin.path
    if not target.resolve().is_relative_to(folder.resolve()) or target.resolve() == folder.resolve():
        raise DataError(f"path of a file: received {pin.path!r}, which is not inside {folder}; nothing was fetched")
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            if target.is_file() and md5(target) == pin.md5:
                progress(target.stat().st_size)
            else:
                _bring(pin, part, mirror, progress)
                part.replace(target)
    except OSError as error:
        raise_disk(target, error)
        raise ServiceError(f"may not write {target} ({error.strerror or error}); nothing is there in its place") from (
            error
        )
    return target


def _bring(pin: Pin, part: Path, mirror: str | None, progress: Callable[[int], None]) -> None:
    """Bring the bytes of ``pin`` into ``part``, on disk and with its hash."""
    source = _local(pin, mirror)
    if source is not None:
        shutil.copyfile(source, part)
        progress(part.stat().st_size)
    else:
        most = 2 * pin.size if pin.size > 0 else LARGEST
        _download(f"{mirror.rstrip('/')}/{quote(pin.path)}" if mirror else pin.url, part, progress, most)
    found = md5(part)
    if found != pin.md5:
        part.unlink()
        where = source or mirror or pin.url
        raise DataError(f"{pin.path} from {where}: MD5 {found}, pinned {pin.md5}; nothing of it was kept")
    with part.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Hold ``part`` against other processes that fetch the same; an empty one does not stay."""
    with part.open("ab") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if part.is_file() and part.stat().st_size == 0:
                part.unlink(missing_ok=True)


def md5(path: Path) -> str:
    """Return the MD5 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _check(mirror: str) -> None:
    """Return if ``mirror`` can be one: a URL with a host, or a folder.

    Raises:
        ParamError: it is neither.
    """
    try:
        parts = urlsplit(mirror)
        fits = bool(parts.hostname) and not set(mirror) & set(" \t\r\n") if parts.scheme in ("http", "https") else (
            parts.scheme in ("", "file") and Path(mirror.removeprefix("file://")).is_dir()
        )  # fmt: skip
    except ValueError:
        fits = False
    if not fits:
        raise ParamError(f"--mirror: received {mirror!r}; legal: an http or https URL, or a folder that is here")


def _local(pin: Pin, mirror: str | None) -> Path | None:
    if mirror is None or urlsplit(mirror).scheme in ("http", "https"):
        return None
    source = Path(mirror.removeprefix("file://")) / pin.path
    if not source.is_file():
        raise MissingError(f"the mirror has no {source}")
    return source


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to http or https, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in (("https",) if req.type == "https" else ("http", "https")):
            raise urllib.error.HTTPError(newurl, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, part: Path, progress: Callable[[int], None], most: int) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"address of a file: received {url!r}; legal: http, https, or --mirror with a folder")
    pause = PAUSE
    for attempt in range(1, TRIES + 1):
        try:
            _continue(url, part, progress, most)
        except urllib.error.HTTPError as error:
            final = _final(url, error)
            if final is not None:
                raise final from None
            if error.code == 416:  # the part is as long as the file or longer: begin again
                part.unlink(missing_ok=True)
            cause = f"HTTP {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            cause = str(getattr(error, "reason", error)) or type(error).__name__
        else:
            return
        if attempt < TRIES:
            time.sleep(pause)
            pause *= 2
    raise ServiceError(f"{url}: {cause}, {TRIES} times; the same command goes on from here, or name a --mirror")


def _final(url: str, error: urllib.error.HTTPError) -> GradedError | None:
    """Return what to raise where another try would not help."""
    if 300 <= error.code < 400:
        to = error.headers.get("Location", "nowhere")
        return ServiceError(f"{url} redirects to {to!r}, which is not followed; --mirror names another place")
    if error.code in (401, 403):
        return MissingError(f"{url}: HTTP {error.code}; accept its terms and set HF_TOKEN, or --mirror")
    if error.code in (404, 410):
        return MissingError(f"{url}: HTTP {error.code}; name another place: --mirror URL_OR_FOLDER")
    return None


def _continue(url: str, part: Path, progress: Callable[[int], None], most: int) -> None:
    """Append what is missing to ``part``, or all of it where the server does not continue; ``most`` bytes in all."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "graded"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    token = os.environ.get("HF_TOKEN")
    if token and urlsplit(url).scheme == "https" and urlsplit(url).hostname == "huggingface.co":
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    with urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT) as response:
        continued = response.status == 206
        if continued:
            progress(have)
        length = response.headers.get("Content-Length")
        with part.open("ab" if continued else "wb") as file:
            written = 0
            for chunk in _chunks(response):
                file.write(chunk)
                written += len(chunk)
                if written + (have if continued else 0) > most:
                    file.close()
                    part.unlink()
                    raise DataError(f"{url} sends more than {most:,} bytes, more than this file has; nothing was kept")
                progress(len(chunk))
    if length is not None and written < int(length):
        raise ConnectionError(f"connection closed after {written:,} of {int(length):,} bytes")


def _chunks(response: BinaryIO) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk
