"""Files that DVC tracks, as they were in a commit: from this clone's cache, else from the remote."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from graded.errors import MissingError, flat
from graded.experiments import git
from graded.formats.work import work_folder


def find(commit: str, path: str) -> Path:
    """Return where the content of ``path``, as it was in ``commit``, lies on this disk; treat it as read-only.

    Raises:
        MissingError: the commit does not track the file, or neither the cache nor a remote holds it.
    """
    digest = _digest(commit, path)
    for root in (_cache(), work_folder("fetched")):
        if (root / digest[:2] / digest[2:]).is_file():
            return root / digest[:2] / digest[2:]
    target = work_folder("fetched", digest[:2], digest[2:])
    _download(commit, path, target)
    return target


def cached(digest: str) -> bool:
    """Return whether this clone's cache holds an object (of a folder: its list of files)."""
    return (_cache() / digest[:2] / digest[2:]).is_file()


def _digest(commit: str, path: str) -> str:
    for stage in (git.read_yaml(commit, "dvc.lock").get("stages") or {}).values():
        for out in stage.get("outs", []):
            if out["path"] == path:
                return str(out["md5"])
            if path.startswith(f"{out['path']}/"):
                inside = _listing(commit, out["path"], out["md5"])
                if path.removeprefix(f"{out['path']}/") in inside:
                    return inside[path.removeprefix(f"{out['path']}/")]
    raise MissingError(f"no {path} in commit {commit[:7]}; run the experiment again")


@cache
def _listing(commit: str, folder: str, digest: str) -> dict[str, str]:
    file = _cache() / digest[:2] / digest[2:]
    if not file.is_file():
        file = work_folder("fetched", digest[:2], digest[2:])
        if not file.is_file():
            _download_listing(commit, folder, file)
    return {one["relpath"]: one["md5"] for one in json.loads(file.read_text(encoding="utf-8"))}


def repository() -> Any:
    """Return DVC's repository of the current folder, opened anew.

    Raises:
        MissingError: there is none.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        return Repo()
    except NotDvcRepoError:
        raise MissingError("no DVC repository here; run this inside a graded repository") from None


@cache
def _cache() -> Path:
    return Path(repository().cache.local.path)


@cache
def _files(commit: str) -> Any:
    from dvc.api import DVCFileSystem

    return DVCFileSystem(rev=commit)


def _download(commit: str, path: str, target: Path) -> None:
    from graded.formats.atomic import atomic

    with atomic(target) as temporary:
        try:
            _files(commit).get_file(path, str(temporary))
        except Exception as error:  # noqa: BLE001  (whatever the remote's library raises)
            raise _absent(commit, path, error) from None


def _download_listing(commit: str, folder: str, target: Path) -> None:
    from graded.formats.atomic import write_json

    try:
        system = _files(commit)
        entries = [
            {"relpath": str(Path(one).relative_to(folder)), "md5": system.info(one)["md5"]}
            for one in system.find(folder, detail=False)
        ]
    except Exception as error:  # noqa: BLE001  (whatever the remote's library raises)
        raise _absent(commit, folder, error) from None
    write_json(target, entries)


def _absent(commit: str, path: str, error: Exception) -> MissingError:
    return MissingError(
        f"{path} of commit {commit[:7]} is neither in the cache nor on a remote ({flat(error)});"
        f" its owner runs 'dvc exp push REMOTE NAME' (all, its model too), or where it is applied 'dvc push {path}'"
    )
