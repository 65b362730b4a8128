"""Downloads are whole, resumed and verified, whatever the host does meanwhile."""

from __future__ import annotations

import hashlib
import sys
import threading
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError, ServiceError
from graded.sources.fetch import Pin, fetch
from tests.faults.full import on_a_full_disk
from tests.sources.host import CONTENT, Server, pin


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
