"""Downloads from a real HTTP server that breaks off, lies and forgets."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError, ParamError, ServiceError
from graded.sources import fetch as module
from graded.sources import miracl
from graded.sources.fetch import Pin, fetch
from graded.sources.pins import clirmatrix_pins, miracl_pins, read_index
from tests.faults.full import on_a_full_disk

CONTENT = bytes(range(256)) * 20_000


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every path; faults are set by a test."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.faults: Counter[str] = Counter()
        self.ranges = True
        self.location: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        for fault, code in (("503", 503), ("404", 404), ("401", 401)):
            if self.server.faults[fault]:
                self.server.faults[fault] -= 1
                self.send_error(code)
                return
        if self.server.location is not None:
            self.send_response(302)
            self.send_header("Location", self.server.location)
            self.end_headers()
            return
        start = 0
        if self.server.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        if self.server.faults["cut"]:
            self.server.faults["cut"] -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def pin(server: Server, path: str = "a/b.bin", md5: str | None = None) -> Pin:
    return Pin(path, f"{server.url}/{path}", len(CONTENT), md5 or hashlib.md5(CONTENT).hexdigest())


def test_whole_and_not_twice(server: Server, tmp_path: Path) -> None:
    seen: list[int] = []
    pins = [pin(server, f"{name}/b.bin") for name in "abc"]
    for _ in range(2):
        paths = fetch(pins, tmp_path, progress=seen.append)
        assert [path.read_bytes() == CONTENT for path in paths] == [True] * 3
    assert len(server.requests) == 3
    assert sum(seen) == 6 * len(CONTENT)
    assert not list(tmp_path.rglob("*.part"))


def test_goes_on_where_the_connection_broke(server: Server, tmp_path: Path) -> None:
    server.faults.update(cut=2)
    fetch([pin(server)], tmp_path)
    assert [asked for _, asked in server.requests] == [
        None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-",
    ]  # fmt: skip
    assert (tmp_path / "a/b.bin").read_bytes() == CONTENT


def test_goes_on_after_a_stop_and_without_ranges(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    part = tmp_path / "a/b.bin.part"
    part.write_bytes(CONTENT[:100])
    fetch([pin(server)], tmp_path)
    assert server.requests == [("/a/b.bin", "bytes=100-")]
    server.ranges = False
    (tmp_path / "c").mkdir()
    (tmp_path / "c/b.bin.part").write_bytes(CONTENT[:100])
    assert fetch([pin(server, "c/b.bin")], tmp_path)[0].read_bytes() == CONTENT


def test_a_part_that_is_too_long_begins_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.bin.part").write_bytes(CONTENT + b"x")
    assert fetch([pin(server)], tmp_path)[0].read_bytes() == CONTENT


def test_another_content_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a/b\.bin from http.*: MD5 [0-9a-f]{32}, pinned 0000"):
        fetch([pin(server, md5="0" * 32)], tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_file_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.bin").write_bytes(b"damaged")
    assert fetch([pin(server)], tmp_path)[0].read_bytes() == CONTENT


def test_faults_of_the_host(server: Server, tmp_path: Path) -> None:
    server.faults["503"] = 2
    fetch([pin(server)], tmp_path)
    assert len(server.requests) == 3
    server.faults["404"] = 1
    with pytest.raises(MissingError, match="HTTP 404; name another place: --mirror"):
        fetch([pin(server, "x")], tmp_path)
    server.faults["401"] = 1
    with pytest.raises(MissingError, match=r"HTTP 401; .*HF_TOKEN"):
        fetch([pin(server, "x")], tmp_path)
    server.faults["503"] = 99
    with pytest.raises(ServiceError, match="HTTP 503, 5 times; the same command goes on"):
        fetch([pin(server, "x")], tmp_path)


def test_nobody_answers(server: Server, tmp_path: Path) -> None:
    one = Pin("x", "http://127.0.0.1:9/x", 0, "0")
    with pytest.raises(ServiceError, match="refused"):
        fetch([one], tmp_path)


def test_mirrors(server: Server, tmp_path: Path) -> None:
    gone = Pin("a/b c.bin", "http://127.0.0.1:9/x", 0, hashlib.md5(CONTENT).hexdigest())
    fetch([gone], tmp_path / "one", mirror=f"{server.url}/copy/")
    assert server.requests == [("/copy/a/b%20c.bin", None)]
    fetch([gone], tmp_path / "two", mirror=str(tmp_path / "one"))
    assert (tmp_path / "two/a/b c.bin").read_bytes() == CONTENT
    with pytest.raises(MissingError, match="the mirror has no"):
        fetch([gone], tmp_path / "three", mirror=str(tmp_path / "two/a"))


@pytest.mark.parametrize("mirror", ["http://[::1", "http://", "http://host/a b", "ftp://host/x", "nowhere"])
def test_what_is_no_mirror_is_refused(server: Server, tmp_path: Path, mirror: str) -> None:
    with pytest.raises(ParamError, match=r"--mirror: received .* legal: an http or https URL, or a folder"):
        fetch([pin(server)], tmp_path, mirror=mirror)
    assert not server.requests


def test_half_a_file_in_the_mirror_is_not_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mirror/a").mkdir(parents=True)
    (tmp_path / "mirror/a/b.bin").write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(DataError, match=r"MD5 [0-9a-f]{32}, pinned"):
        fetch([pin(server)], tmp_path / "out", mirror=str(tmp_path / "mirror"))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_what_stands_in_the_way_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ServiceError, match=r"may not write .*file/a/b\.bin \(Not a directory\)"):
        fetch([pin(server)], tmp_path / "file")
    (tmp_path / "out/a/b.bin").mkdir(parents=True)
    with pytest.raises(ServiceError, match=r"may not write .*out/a/b\.bin \(Is a directory\)"):
        fetch([pin(server)], tmp_path / "out")


def test_two_at_once_bring_a_file_once(server: Server, tmp_path: Path) -> None:
    found: list[Path] = []
    both = [threading.Thread(target=lambda: found.extend(fetch([pin(server)], tmp_path))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [path.read_bytes() == CONTENT for path in found] == [True, True]
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_next_call_goes_on(tmp_path: Path) -> None:
    (tmp_path / "mirror/data").mkdir(parents=True)
    (tmp_path / "mirror/data/x.bin").write_bytes(CONTENT)
    one = Pin("data/x.bin", "http://127.0.0.1:9/x", len(CONTENT), hashlib.md5(CONTENT).hexdigest())
    code = (
        "from pathlib import Path; from graded.console import run; from graded.sources.fetch import Pin, fetch;"
        f"run(lambda: fetch([Pin(*{tuple(one)!r})], Path('.'), mirror='mirror'))"
    )
    found = on_a_full_disk(tmp_path, 4, [sys.executable, "-c", code])
    assert found["first"]["code"] == 1
    assert found["first"]["err"].startswith("graded: disk full while writing data/x.bin;")
    assert len(found["first"]["err"].splitlines()) == 1
    assert "data/x.bin" not in found["between"]
    assert found["second"]["code"] == 0
    assert found["files"]["data/x.bin"] == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("to", ["file://{path}", "ftp://127.0.0.1/x", "data:text/plain,x", "gopher://127.0.0.1/"])
def test_a_redirection_to_another_protocol_is_not_followed(server: Server, tmp_path: Path, to: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    server.location = to.format(path=secret)
    with pytest.raises(ServiceError, match=r"redirects to .* which is not followed"):
        fetch([pin(server)], tmp_path / "out")
    assert len(server.requests) == 1
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_redirection_to_another_host_is_followed_and_gone_on_with(server: Server, tmp_path: Path) -> None:
    """As the hub does, whose large files lie elsewhere."""
    with Server() as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, args=(0.01,), daemon=True).start()
        elsewhere.faults.update(cut=1)
        server.location = f"{elsewhere.url}/signed?x=1"
        fetch([pin(server)], tmp_path)
        elsewhere.shutdown()
    assert (tmp_path / "a/b.bin").read_bytes() == CONTENT
    assert server.requests == [("/a/b.bin", None), ("/a/b.bin", f"bytes={len(CONTENT) // 2}-")]
    assert elsewhere.requests == [("/signed?x=1", asked) for _, asked in server.requests]


def test_an_address_is_http_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    one = Pin("x", (tmp_path / "secret").as_uri(), 0, hashlib.md5(CONTENT).hexdigest())
    with pytest.raises(DataError, match="legal: http, https"):
        fetch([one], tmp_path / "out")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "link/x", ".", ""])
def test_no_file_leaves_its_folder(server: Server, tmp_path: Path, path: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="is not inside"):
        fetch([pin(server)._replace(path=path)], tmp_path / "out")
    assert not server.requests
    assert not (tmp_path / "x").exists()


def test_a_file_that_does_not_end_is_cut_off(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sends more than 2,000,000 bytes"):
        fetch([pin(server)._replace(size=1_000_000)], tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_miracl_is_pinned_whole() -> None:
    pins = miracl_pins(list(miracl.SHARDS), "dev")
    counts = Counter(path.partition("/")[0] for path, *_ in pins)
    assert {lang: counts[f"miracl-corpus-v1.0-{lang}"] for lang in miracl.SHARDS} == miracl.SHARDS
    assert all(counts[f"miracl-v1.0-{lang}"] == 2 for lang in miracl.SHARDS)
    assert all(len(pin.md5) == 32 and pin.size > 0 for pin in pins)
    fi = miracl_pins(["fi"], "dev", "topics", revision="abc")
    assert fi[0].url.endswith("/resolve/abc/miracl-v1.0-fi/qrels/qrels.miracl-v1.0-fi-dev.tsv")
    with pytest.raises(ParamError, match="received 'xx'"):
        miracl_pins(["xx"], "dev")
    with pytest.raises(ParamError, match="did you mean 'dev'"):
        miracl_pins(["fi"], "dec")


def test_clirmatrix_is_read_from_its_index(tmp_path: Path) -> None:
    entry = {"url": "http://host/x", "expected_md5": "0" * 32, "size_hint": 5}
    index = {
        "clirmatrix_docs": {"docs/de": entry, "docs/en": entry},
        "clirmatrix_multi8": {"queries/de_en/dev": entry, "queries/en_de/dev": entry, "queries/de_en/test1": entry},
    }
    path = tmp_path / "downloads.json.gz"
    path.write_bytes(gzip.compress(json.dumps(index).encode()))
    assert [pin.path for pin in read_index(path, ["de", "en"], "dev")] == [
        "docs/de.tsv.gz", "docs/en.tsv.gz", "queries/de_en/dev.jsonl.gz", "queries/en_de/dev.jsonl.gz",
    ]  # fmt: skip
    with pytest.raises(DataError, match="is not CLIRMatrix's index"):
        read_index(path, ["de", "ru"], "dev")
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not CLIRMatrix's index"):
        read_index(path, ["de", "en"], "dev")
    with pytest.raises(ParamError, match="two or more of"):
        clirmatrix_pins(["fi", "de"], "dev", tmp_path, None)
    with pytest.raises(ParamError, match="legal: train, dev, test1, test2"):
        clirmatrix_pins(["en", "de"], "test", tmp_path, None)
