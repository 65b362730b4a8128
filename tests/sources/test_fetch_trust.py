"""What a host, a mirror or a pin may not do: other protocols, other folders, files without an end."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from graded.errors import DataError, ParamError, ServiceError
from graded.sources.fetch import Pin, fetch
from tests.sources.host import CONTENT, Server, pin


@pytest.mark.parametrize("mirror", ["http://[::1", "http://", "http://host/a b", "ftp://host/x", "nowhere"])
def test_what_is_no_mirror_is_refused(server: Server, tmp_path: Path, mirror: str) -> None:
    with pytest.raises(ParamError, match=r"--mirror: received .* legal: an http or https URL, or a folder"):
        fetch([pin(server)], tmp_path, mirror=mirror)
    assert not server.requests


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
