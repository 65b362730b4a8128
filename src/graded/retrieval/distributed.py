"""Where this process stands among those that ``accelerate launch`` (or torchrun, or Slurm through either) started.

The search stages need no messages between processes: they share work through files (``shards``), so all that is
read here is who and how many we are.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from graded.console import say
from graded.errors import ParamError
from graded.retrieval.threads import cores


class Place(NamedTuple):
    """This process among its peers; ``local`` counts those on the same host, each from 0."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the stage's outs."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """Cores for this process: those it may use, shared evenly with its peers on this host; at least one."""
        return max(1, cores() // self.local_world)


def place() -> Place:
    """Return this process's place from RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; alone where none is set.

    Raises:
        ParamError: only some of them are set, or they contradict each other.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    values = {name: os.environ.get(name) for name in names}
    if values["RANK"] is None and values["WORLD_SIZE"] is None:
        tell_if_alone()
        return Place()
    try:
        rank, world = int(values["RANK"] or ""), int(values["WORLD_SIZE"] or "")
        local_rank = int(values["LOCAL_RANK"] or rank)
        local_world = int(values["LOCAL_WORLD_SIZE"] or world)
    except ValueError:
        raise ParamError(f"received {_shown(values)}; start several processes by `accelerate launch`") from None
    if not (0 <= rank < world and 0 <= local_rank < local_world <= world):
        raise ParamError(f"received {_shown(values)}; expected 0 <= RANK < WORLD_SIZE; use `accelerate launch`")
    return Place(rank, world, local_rank, local_world)


#: Variables by which a launcher of several processes tells each which one it is.
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def tell_if_alone() -> None:
    """Say in one line where accelerate was told of several processes and started this one alone.

    `accelerate launch --cpu` does so whatever --num_processes asks for, and so does a launch of several without
    --multi_gpu: the process finds an address for several and no rank.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    if launched and not any(name in os.environ for name in RANKS):
        say(
            "accelerate started one process, although it was told of several; start them by 'accelerate launch "
            "--multi_gpu --num_processes N' (on the CPU where there is no GPU), without --cpu"
        )


def _shown(values: dict[str, str | None]) -> str:
    return " ".join(f"{name}={value!r}" for name, value in values.items())
