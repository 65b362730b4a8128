"""What this folder is: a graded repository's root or another place, and whether its sample fits params.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from graded import params
from graded.errors import DataError, MissingError
from graded.experiments.manner import MANNER
from graded.formats.record import read_record
from graded.repository import git_says

BENCHMARK = Path("data/benchmark")
#: Files that only the root of a graded repository has.
MAP = ("params.yaml", "dvc.yaml")
#: Keys beside :data:`graded.experiments.manner.MANNER` that change a few of a stage's rows, not how many there are.
FEW = ("reask", "dtype")


class Missing(NamedTuple):
    """Something that is not here, and the command that brings it."""

    text: str
    command: str


def away(root: Path) -> Missing | None:
    """Return what makes ``root`` no graded repository's root, or None where it is one."""
    absent = [name for name in MAP if not (root / name).is_file()]
    if not absent:
        return None
    if len(absent) < len(MAP):
        return Missing(f"{absent[0]} is not here", f"git checkout {absent[0]}")
    up = Path("..")
    for parent in root.resolve().parents:
        if all((parent / name).is_file() for name in MAP):
            return Missing("this folder is inside a graded repository, whose root is above it", f"cd {up}")
        up /= ".."
    return Missing(f"no {MAP[0]} and {MAP[1]}: this folder is no graded repository", "git clone URL; cd graded")


def repository(command: str) -> None:
    """Return if this folder has something that a graded repository's root has; a ledger alone is enough.

    Raises:
        MissingError: it has none; where to go.
    """
    if any(Path(name).is_file() for name in (*MAP, "dvc.lock")) or Path(".ledger").is_dir():
        return
    found = away(Path())
    where = found.command if found and found.command.startswith("cd ") else f"no {MAP[0]} in {Path.cwd()}"
    raise MissingError(f"{command}: run this inside a graded repository, in its root ({where})")


def source(values: dict[str, Any], root: Path) -> Missing | None:
    """Return the first folder that ``corpus`` or ``benchmark`` of params.yaml name and that is not here."""
    corpus, benchmark = values.get("corpus") or {}, values.get("benchmark") or {}
    wanted = [("corpus.path", corpus.get("path"), corpus.get("source"), "corpus", "")]
    sets = benchmark.get("sets") or {}
    fetched = {name: one for name, one in sets.items() if (one or {}).get("source") in ("miracl", "clirmatrix")}
    for name, one in fetched.items():
        folder = one.get("folder")
        at = Path(str(benchmark.get("path"))) / (folder if isinstance(folder, str) else ".")
        wanted.append((f"benchmark.sets.{name}", str(at), one["source"], "topics", one.get("split") or ""))
    if not fetched:
        wanted.append(("benchmark.path", benchmark.get("path"), "", "", ""))
    for key, folder, layout, part, split in wanted:
        if folder and not (root / folder).is_dir():
            return Missing(f"{key}: no folder {folder}", _brings(str(folder), str(layout), part, split))
    return None


def _brings(folder: str, layout: str, part: str, split: str) -> str:
    of = f" --split {split}" if split and part == "topics" else ""
    if layout == "miracl":
        return f"graded fetch miracl --part {part}{of} --to {folder}"
    if layout == "clirmatrix":
        return f"graded fetch clirmatrix{of} --to {folder}"
    return f"graded import FILE --lang LANG --out {folder}"


def broken(root: Path) -> Missing | None:
    """Return what is wrong with dvc.lock, None where it is whole or not here."""
    return _lock(root)[1]


def locked(root: Path) -> dict[str, dict[str, Any]]:
    """Return what dvc.lock says of each stage that has run here, by name; nothing where it is not here.

    Raises:
        DataError: it is broken; the next command.
    """
    stages, wrong = _lock(root)
    if wrong:
        raise DataError(f"dvc.lock {wrong.text}, so what has been run here is not known; run: {wrong.command}")
    return stages


def _lock(root: Path) -> tuple[dict[str, dict[str, Any]], Missing | None]:
    path = root / "dvc.lock"
    if not path.is_file():
        return {}, None
    data = path.read_bytes()
    try:
        stages = yaml.safe_load(data.decode())["stages"]
        return {name: {**one, "params": {**one.get("params", {})}} for name, one in stages.items()}, None
    except (ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        pass
    if data.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in data:
        return {}, Missing("holds the marks of a merge that git stopped at", "git checkout --ours dvc.lock; dvc repro")
    committed = git_says(root, "cat-file", "-e", "HEAD:./dvc.lock") is not None
    mend = "git checkout dvc.lock" if committed else "rm dvc.lock"
    text = f"is {'half-written' if data.strip() else 'empty'}, as where DVC is killed while it writes it"
    return {}, Missing(text, f"{mend}; dvc repro")


def benchmark(name: str) -> dict[str, Any]:
    """Return a set's benchmark.json, empty where it is not here."""
    path = BENCHMARK / name / "benchmark.json"
    return read_record(path) if path.is_file() else {}


def differing(stages: Sequence[str], root: Path) -> list[str]:
    """Return the params, as dotted keys, that are other now than when ``stages`` ran, as dvc.lock recorded it.

    Keys that change only how a stage works are left out. A stage that dvc.lock has no run of is not looked at.

    Raises:
        DataError: dvc.lock is broken; the next command.
    """
    ran = locked(root)
    then = {name: ran[name].get("params", {}).get("params.yaml", {}) for name in stages if name in ran}
    now = params.load(root / params.PARAMS)
    found = [
        key for one in then.values() for name, old in one.items() for key in _other(name, old, params.at(now, name))
    ]
    return list(dict.fromkeys(found))


def _other(key: str, old: Any, new: Any) -> Iterator[str]:
    if key.rpartition(".")[2] in (*MANNER, *FEW) or old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and key.count(".") < 1:
        for name in {**old, **new}:
            yield from _other(f"{key}.{name}", old.get(name), new.get(name))
    else:
        yield key
