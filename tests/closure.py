"""Which source files a stage runs, read from its imports; `python -m tests.closure --write` puts them into dvc.yaml.

DVC reruns a stage when a file in its deps changes, so the deps have to name every module that the stage imports, also
the late ones inside functions, and the data files of the package that those modules name. A module without code (a
docstring alone) is left out.

The params of its own section are written too: the section's name, or its parts where the section holds a key ``size``.
DVC 3.67 leaves every mapping key ``size`` and ``nfiles`` out of a run's hash (they are meant to be those of files), so
that with ``params: [pair]`` two experiments of different ``pair.size`` get one another's outputs from the run cache.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
#: Keys that DVC leaves out of the hash of a run.
UNSEEN = frozenset({"size", "nfiles"})
#: Kinds of data files that a module may read from its own folder.
DATA = frozenset({".json", ".jsonl", ".yaml", ".tsv", ".html", ".css", ".js"})


def module_file(name: str) -> Path | None:
    """Return the file of module ``name`` of this package, or None where it is no module of it."""
    path = SOURCE.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def imports(file: Path) -> frozenset[Path]:
    """Return the files of this package that ``file`` imports itself, those for type checking alone left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(found for name in _names(tree) if (found := module_file(name)) and has_code(found))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("graded"))
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "graded":
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield node.module or ""
    for child in ast.iter_child_nodes(node):
        yield from _names(child)


@cache
def has_code(file: Path) -> bool:
    """Return whether the module holds more than its docstring."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def closure(stage: str) -> list[str]:
    """Return the source files that stage ``stage`` runs, relative to the root, sorted."""
    todo, done = [SOURCE / "graded" / "stages" / f"{stage}.py"], set[Path]()
    while todo:
        file = todo.pop()
        if file not in done:
            done.add(file)
            todo.extend(imports(file))
    data = {found for file in done for found in data_files(file)}
    return sorted(str(file.relative_to(ROOT)) for file in done | data)


@cache
def data_files(file: Path) -> frozenset[Path]:
    """Return the data files beside a module (templates, tables of values) that it names in a string."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {text for text in texts if Path(text).suffix in DATA and "\n" not in text}
    return frozenset(path for name in names if (path := file.parent / name).is_file())


def unseen(value: Any) -> bool:
    """Return whether a mapping holds, at any depth, a key that DVC leaves out of a run's hash."""
    return isinstance(value, dict) and any(key in UNSEEN or unseen(inner) for key, inner in value.items())


def own_params(name: str, value: Any) -> list[str]:
    """Return the entries of a stage's params list for its section: dotted as deep as ``unseen`` asks for."""
    if not unseen(value):
        return [name]
    return [part for key, inner in value.items() for part in own_params(f"{name}.{key}", inner)]


def shared(params: Any, name: str) -> list[str]:
    """Return the entries of a stage's params list that are not of its own section."""
    return [str(one) for one in params if str(one).split(".")[0] != name]


def load() -> Any:
    """Return dvc.yaml as ruamel keeps it, comments and all."""
    return YAML().load(ROOT / "dvc.yaml")


def body(stage: Any) -> Any:
    """Return the mapping that holds a stage's deps: its own, or that of its ``do``."""
    return stage.get("do", stage)


def main() -> None:
    """Rewrite the source files among the deps of every stage, and the params of its own section."""
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = load()
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    for name, stage in document["stages"].items():
        deps = [dep for dep in body(stage).get("deps", []) if not str(dep).startswith("src/")]
        body(stage)["deps"] = deps + closure(name)
        params = body(stage)["params"]
        params[:] = [*shared(params, name), *own_params(name, values[name])]
    if "--write" in sys.argv[1:]:
        yaml.dump(document, ROOT / "dvc.yaml")
    else:
        yaml.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
