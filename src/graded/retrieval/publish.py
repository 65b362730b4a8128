"""A model folder to the Hugging Face hub, checked before anything leaves."""

from __future__ import annotations

import re
from pathlib import Path

from graded.errors import DataError, MissingError, ParamError, ServiceError, flat
from graded.retrieval import description
from graded.retrieval.weights import hub_errors

#: What sentence-transformers and the hub's page need beside the encoder's own files.
BESIDE = ("README.md", "modules.json", "1_Pooling/config.json", "config_sentence_transformers.json")

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def plan(folder: Path) -> dict[str, int]:
    """Return the files that would be sent, with their sizes in bytes, after checking their digests.

    Raises:
        MissingError: the folder is no exported model, or a file is absent.
        DataError: a file is not the one that its record names.
    """
    record = description.read(folder)
    description.check(folder, record.sha256)
    for name in BESIDE:
        if not (folder / name).is_file():
            raise MissingError(f"{folder} has no {name}: no trained model's folder; 'dvc repro train' makes one")
    if not any(name.endswith(".safetensors") for name in record.sha256):
        raise DataError(f"{folder}/encoder.json names no safetensors weights")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def check_name(name: str) -> None:
    """Raise ParamError unless ``name`` is ``owner/model``."""
    if not _NAME.fullmatch(name):
        raise ParamError(f"received {name!r}; expected owner/model, such as my-team/e5-small-fi")


def push(folder: Path, name: str, files: dict[str, int], *, card: str, private: bool, message: str) -> str:
    """Create ``name`` on the hub where it is not there, send ``files`` in one commit, and return the commit's URL.

    ``card`` is sent as README.md. The token is the hub's own (``HF_TOKEN``, or ``hf auth login``).

    Raises:
        ServiceError: the hub refused or cannot be reached; nothing of the commit is visible then.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    try:
        api = HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        sent = [CommitOperationAdd(path, str(folder / path)) for path in files if path != "README.md"]
        sent.append(CommitOperationAdd("README.md", card.encode()))
        return str(api.create_commit(name, sent, commit_message=message).commit_url)
    except hub_errors() as error:
        raise ServiceError(
            f"hub: {name} was not pushed ({flat(error)}); set HF_TOKEN to a token that may write there"
        ) from None
