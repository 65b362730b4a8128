"""Pin the base encoder.

Reads: an installed package, the Hugging Face hub at one commit, or a folder (params section ``encoder``).
Writes: data/encoder/: config.json, tokenizer files, safetensors weights, encoder.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from graded import params
from graded.console import run, say
from graded.errors import many
from graded.retrieval import weights
from graded.retrieval.description import Description, Pooling

TARGET = Path("data/encoder")


class Params(params.Section):
    """Section ``encoder``."""

    #: package (an installed distribution that carries weights), hub, or path (a folder).
    source: Literal["package", "hub", "path"]
    #: Distribution, hub repository or folder.
    name: str = Field(min_length=1)
    #: Commit of the hub repository, 40 hex digits; null otherwise.
    revision: str | None = None
    #: File name to the sha256 it must have; files not named are recorded as found.
    sha256: dict[str, str] = Field(default_factory=dict)
    #: How token vectors become one: mean, cls or last.
    pooling: Pooling
    #: Put before each query.
    query_prefix: str = ""
    #: Put before each passage.
    passage_prefix: str = ""
    #: Tokens a text is cut to.
    max_length: int = Field(gt=2)
    #: Temperature the encoder was trained with; null where unknown.
    temperature: float | None = Field(None, gt=0)


def main() -> None:
    """Run the stage."""
    values = params.section("encoder", Params)
    revision = values.revision
    if values.source == "package":
        origin, revision = weights.from_package(values.name)
    elif values.source == "hub":
        origin = weights.from_hub(values.name, values.revision)
    else:
        origin = weights.from_path(values.name)
    record = Description(revision=revision, **values.model_dump(exclude={"revision", "sha256"}))
    pinned = weights.pin(origin, TARGET, record, values.sha256)
    say(
        f"encoder: {values.name} ({values.source}, {pinned.revision or 'no revision'}),"
        f" {many(len(pinned.sha256), 'file')}"
    )


if __name__ == "__main__":
    run(main)
