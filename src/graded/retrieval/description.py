"""encoder.json: what a folder of weights is and how texts go into it and come out of it.

The record travels with the weights (data/encoder, data/model, a pushed model), so that nothing about pooling,
prefixes or length is guessed from a name. It names every file's sha256: weights that changed are noticed when
they are opened.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graded.errors import DataError, MissingError
from graded.formats.atomic import write_json

NAME = "encoder.json"

#: Files that make an encoder, as glob patterns: configuration, tokenizer of any kind, safetensors weights.
FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-?????-of-?????.safetensors",
)

Pooling = Literal["mean", "cls", "last"]
Kind = Literal["query", "passage"]


class Description(BaseModel):
    """The record in encoder.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: package, hub or path: where the weights came from; train writes ``train``.
    source: str
    #: Distribution, repository or folder name.
    name: str
    #: Commit of a hub repository, version of a package, None for a path.
    revision: str | None = None
    #: File name to sha256 (hex) of every file beside this record.
    sha256: dict[str, str] = Field(default_factory=dict)
    pooling: Pooling = "mean"
    #: Put before a query (``query: `` for e5).
    query_prefix: str = ""
    #: Put before a passage.
    passage_prefix: str = ""
    #: Tokens a text is cut to, special tokens counted.
    max_length: int = Field(512, gt=2)
    #: Vectors have unit length; the score is their dot product.
    normalize: bool = True
    #: Temperature the encoder was trained with, where known.
    temperature: float | None = Field(None, gt=0)

    def prefix(self, kind: Kind) -> str:
        """Return what stands before a text of this kind."""
        return self.query_prefix if kind == "query" else self.passage_prefix


def files(folder: Path) -> list[Path]:
    """Return the files of ``folder`` that make an encoder, sorted by name."""
    return sorted({path for pattern in FILES for path in folder.glob(pattern) if path.is_file()})


def digest(path: Path) -> str:
    """Return the sha256 of ``path`` in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Return file name to sha256 for :func:`files`."""
    return {path.name: digest(path) for path in files(folder)}


def read(folder: Path) -> Description:
    """Return the record of ``folder``.

    Raises:
        MissingError: no such folder, or no encoder.json in it.
        DataError: the record is not what :class:`Description` says.
    """
    path = folder / NAME
    try:
        return Description.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise MissingError(
            f"no {path}; 'dvc repro encoder' makes data/encoder, 'dvc repro train' data/model, 'dvc pull' fetches both"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: {where}: received {first['input']!r}; {first['msg']}") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None


def write(folder: Path, description: Description) -> Description:
    """Write ``description`` into ``folder`` with the sha256 of the files that stand there now, and return it."""
    full = description.model_copy(update={"sha256": digests(folder)})
    write_json(folder / NAME, full.model_dump())
    return full


def check(folder: Path, expected: dict[str, str], remedy: str = "'dvc pull', 'dvc repro --force encoder'") -> None:
    """Compare files of ``folder`` with their sha256; ``remedy`` is what the error says to type.

    Raises:
        MissingError: a named file is absent.
        DataError: a file has another sha256 (both are quoted).
    """
    for name, wanted in expected.items():
        path = folder / name
        if not path.is_file():
            raise MissingError(f"{path} is missing; 'dvc repro encoder' or 'dvc pull' brings it")
        have = digest(path)
        if have != wanted.lower():
            raise DataError(
                f"{path} has sha256 {have}, expected {wanted}: changed or damaged; get it again ({remedy}) or, "
                "if the change is meant, correct the sha256 in params.yaml"
            )
