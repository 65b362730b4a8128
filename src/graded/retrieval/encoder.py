"""Texts to vectors with the encoder in a folder: the one door for candidate, retrieve and embed.

    encoder = Encoder.load(Path("data/encoder"))
    vectors = encoder.encode(["Kuka keksi puhelimen?"], "query")    # float32 [1, dim], unit length

The same texts give the same bytes, whatever the number of workers: a chunk is made from the lengths alone and is
computed by one thread.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from graded.console import say
from graded.errors import DataError, ParamError, one_of
from graded.retrieval import description
from graded.retrieval.flat import FlatModel
from graded.retrieval.flat_linear import half_is_native
from graded.retrieval.flat_packed import PackedModel
from graded.retrieval.threads import cores, one_thread
from graded.retrieval.tokens import Ints, Tokenizer, Tokens, chunks

Vectors = npt.NDArray[np.float32]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

#: Real tokens a chunk, at most: enough rows for the products, few enough that activations stay near the core.
CPU_TOKENS = 2048
GPU_TOKENS = 65536
#: Texts sorted by length together; while one group is encoded, the next is tokenised.
GROUP = 16384
#: Chunks that a small job is cut into on a CPU, so that no core waits long for another at the end.
CPU_CHUNKS = 32
CPU_LEAST = 256

#: [tokens] ids and [n] lengths to [n, dim] vectors, not normalised.
Forward = Callable[[Any, Ints], Any]


class Encoder:
    """An encoder that is ready; make one with :meth:`load`."""

    def __init__(
        self,
        forward: Forward,
        tokenizer: Tokenizer,
        record: description.Description,
        *,
        dim: int,
        device: Any,
        workers: int,
    ) -> None:
        self.forward, self.tokenizer, self.description = forward, tokenizer, record
        #: Length of a vector.
        self.dim = dim
        self.device, self.workers = device, workers

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto", dtype: str = "float32", workers: int | None = None) -> Encoder:
        """Return the encoder in ``folder`` (config.json, tokenizer, safetensors, encoder.json).

        ``device`` is ``auto`` (the process's GPU where there is one), ``cpu`` or ``cuda[:n]``; ``dtype`` float32 or
        bfloat16 (on a CPU without bfloat16 instructions the products are float32, which is faster there and exact);
        ``workers`` threads on a CPU, by default one for each core this process may use.

        Raises:
            MissingError, DataError: the folder is not whole, or a file's sha256 is not the recorded one.
            ParamError: an illegal device, dtype or number of workers.
        """
        if dtype not in DTYPES:
            raise ParamError(f"dtype: {one_of(dtype, DTYPES)}")
        if workers is not None and workers < 1:
            raise ParamError(f"workers: received {workers}; expected 1 or more")
        target = pick_device(device)
        record = description.read(folder)
        description.check(folder, record.sha256)
        model = FlatModel.load(folder, pooling=record.pooling)
        if model.limit is not None and record.max_length > model.limit:
            raise DataError(
                f"{folder}: max_length is {record.max_length}, the model has positions for {model.limit} tokens; "
                f"set encoder.max_length to {model.limit} or less"
            )
        forward = prepare(model, target, dtype)
        tokenizer = Tokenizer(folder, record.max_length)
        return cls(forward, tokenizer, record, dim=model.dim, device=target, workers=workers or cores())

    def encode(
        self,
        texts: Sequence[str],
        kind: Literal["query", "passage"],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Return one vector a text, in the order given: float32 [n, dim], of unit length where the record says so.

        ``kind`` picks the prefix; ``progress`` is called with the number of texts just finished.
        """
        vectors = np.empty((len(texts), self.dim), np.float32)
        for begin, tokens in self._tokens(texts, self.description.prefix(kind)):
            work = chunks(tokens.lengths, self._budget(int(tokens.lengths.sum())))
            for which, rows in self._map(tokens, work):
                vectors[begin + which] = rows
                if progress:
                    progress(len(which))
        return vectors

    def _tokens(self, texts: Sequence[str], prefix: str) -> Iterator[tuple[int, Tokens]]:
        """Tokenise in groups, one ahead of what is encoded."""
        begins = range(0, len(texts), GROUP)
        with ThreadPoolExecutor(1) as ahead:
            tasks = deque[Future[Tokens]]()
            for begin in begins:
                tasks.append(ahead.submit(self.tokenizer, texts[begin : begin + GROUP], prefix, cores()))
                if begin:
                    yield begin - GROUP, tasks.popleft().result()
            if tasks:
                yield begins[-1], tasks.popleft().result()

    def _budget(self, total: int) -> int:
        if self.device.type != "cpu":
            return GPU_TOKENS
        return max(CPU_LEAST, min(CPU_TOKENS, total // CPU_CHUNKS))

    def _map(self, tokens: Tokens, work: list[Ints]) -> Iterator[tuple[Ints, Vectors]]:
        if self.device.type != "cpu":
            for which in work:
                yield which, self._vectors(tokens.take(which))
            return
        with (
            one_thread(),
            ThreadPoolExecutor(
                min(self.workers, len(work)) or 1, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool,
        ):
            yield from zip(work, pool.map(lambda which: self._vectors(tokens.take(which)), work), strict=True)

    def _vectors(self, tokens: Tokens) -> Vectors:
        with torch.inference_mode():
            pooled = self.forward(torch.from_numpy(tokens.ids).to(self.device), tokens.lengths)
            if self.description.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=1)
            rows: Vectors = pooled.cpu().numpy()
            return rows


def prepare(model: FlatModel, device: Any, dtype: str) -> Forward:
    """Return the fastest forward of ``model`` for encoding on ``device``."""
    model = model.requires_grad_(requires_grad=False)
    if device.type != "cpu":
        return model.to(device=device, dtype=DTYPES[dtype])
    if dtype == "bfloat16" and not half_is_native():
        say("encoder: this CPU has no bfloat16 instructions; computing in float32, which is faster here")
        dtype = "float32"
    return PackedModel(model, DTYPES[dtype], CPU_TOKENS) if model.flat else model.to(dtype=DTYPES[dtype])


def pick_device(name: str) -> Any:
    """Return the torch device ``name``; ``auto`` is the GPU of this process's local rank where there is one.

    Raises:
        ParamError: not a device of this machine.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % gpus) if gpus else torch.device("cpu")
    legal = ["auto", "cpu", *(["cuda"] if gpus else []), *(f"cuda:{index}" for index in range(gpus))]
    if name not in legal:
        raise ParamError(f"device: {one_of(name, legal)}")
    return torch.device(name)
