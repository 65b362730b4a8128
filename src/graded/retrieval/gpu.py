"""One GPU for each experiment, where several run at once on one host.

Workers of DVC's queue know nothing of GPUs: all would take the first. Here a stage of an experiment takes one that no
other experiment of this clone uses, by a lock in ``.work/gpu`` that the kernel frees when its holder dies, and waits
where all are taken: two models rarely fit into one GPU, and stages that need none run meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Callable, MutableMapping
from typing import IO

from graded.console import say
from graded.formats.work import work_folder

VISIBLE = "CUDA_VISIBLE_DEVICES"
#: Seconds between two looks at GPUs that are all in use.
POLL = 1.0
#: Locks of this process, held until it ends.
_held: list[IO[bytes]] = []


def claim(
    environ: MutableMapping[str, str] = os.environ, count: Callable[[], int] | None = None, poll: float = POLL
) -> IO[bytes] | None:
    """Leave one free GPU in ``environ``'s CUDA_VISIBLE_DEVICES for this process, and return its lock.

    Call it before CUDA starts. Nothing is done (None) outside a DVC experiment, in one of several processes (there
    `accelerate launch` gives each its GPU), where accelerate keeps to the CPU, and where no GPU or no lock can be had.

    Args:
        environ: of the process.
        count: number of GPUs of this host; default: what the driver says.
        poll: seconds between two looks where all are taken.
    """
    on_cpu = environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "on")
    if "DVC_EXP_NAME" not in environ or "RANK" in environ or on_cpu:
        return None
    names = _names(environ, count or _count)
    if not names:
        return None
    folder = work_folder("gpu")
    folder.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        for name in names:
            file = (folder / f"{platform.node()}-{name}".replace("/", "_")).open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
            except OSError:  # a file system without locks
                file.close()
                return None
            else:
                environ[VISIBLE] = name
                _held.append(file)
                return file
        if not told:
            say(f"waits for a GPU: other experiments use all {len(names)} of this host")
            told = True
        time.sleep(poll)


def _names(environ: MutableMapping[str, str], count: Callable[[], int]) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if VISIBLE not in environ:
        return [str(number) for number in range(count())]
    names = [name.strip() for name in environ[VISIBLE].split(",") if name.strip()]
    return names[: names.index("-1")] if "-1" in names else names


def _count() -> int:
    import torch

    return torch.cuda.device_count()
