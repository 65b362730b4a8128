"""Exact top-100 of 1000 queries beside faiss IndexFlatIP, on one thread in CPU time, and memory against corpus size.

    make bench NAME=search                          # all parts; or: python -m bench.search [--keep] [--rounds 3]
    python -m bench.search --part 384 --part real   # 384 | 1024 | real, a few minutes each

faiss's wheel brings an OpenBLAS that takes a CPU it does not know for one without AVX (seen on Ice Lake: 6 times
slower). It is told its kernels here, so that the peer is at its best; the ratio against its default is shown too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before anything loads a BLAS.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
if "--default-blas" not in sys.argv and "avx512f" in CPU:
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

import argparse  # noqa: E402
import gzip  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from bench.harness import ROOT, Report, interleave  # noqa: E402

Floats = npt.NDArray[np.float32]
QUERIES, K, SHARD = 1000, 100, 65536
PARTS = ("384", "1024", "real")
REAL = ROOT.parent / "shared" / "data"
CACHE = ROOT / ".work" / "bench"


def unit(count: int, dim: int, seed: int) -> Floats:
    """Return random vectors of unit length."""
    vectors = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(report: Report, name: str, queries: Floats, vectors: Floats, rounds: int, bars: dict[str, float]) -> None:
    """Time faiss, the float32 pass alone, the raced passes and the bare product on the same work."""
    import faiss
    import torch

    from graded.retrieval.search import Hits, top_k

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    ids = [str(number) for number in range(len(vectors))]
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    found: dict[str, Hits] = {}
    peer: list[npt.NDArray[np.int64]] = []

    def ours(first_pass: str) -> None:
        shards = ((ids[at : at + SHARD], vectors[at : at + SHARD]) for at in range(0, len(ids), SHARD))
        found[first_pass] = top_k(queries, shards, K, first_pass=first_pass)

    def product() -> None:
        right, out = torch.from_numpy(queries).T, torch.empty(8192, len(queries))
        for at in range(0, len(vectors), 8192):
            part = torch.from_numpy(vectors[at : at + 8192])
            torch.mm(part, right, out=out[: len(part)])

    times = interleave(
        {
            "faiss": lambda: cpu_seconds(lambda: peer.append(index.search(queries, K)[1])),
            "float32": lambda: cpu_seconds(lambda: ours("float32")),
            "auto": lambda: cpu_seconds(lambda: ours("auto")),
            "product": lambda: cpu_seconds(product),
        },
        rounds,
    )
    for side in ("float32", "auto"):
        ratios = [a / b for a, b in zip(times["faiss"], times[side], strict=True)]
        report.ratio(f"faiss / ours {side}, {name}", ratios, at_least=bars.get(side))
        wrong = disagreements(found[side], peer[-1], queries, vectors)
        report.ratio(f"ids beyond rounding, {side}, {name}", [float(wrong)], at_most=0)
    limit = [a / b for a, b in zip(times["product"], times["auto"], strict=True)]
    report.ratio(f"bare float32 product / ours auto, {name}", limit)


def disagreements(hits: object, peer: npt.NDArray[np.int64], queries: Floats, vectors: Floats) -> int:
    """Return at how many ranks faiss's passage differs and its float64 score too, by more than float32's rounding."""
    ours = np.array(hits.ids, dtype=np.int64)  # type: ignore[attr-defined]
    query, rank = np.nonzero(ours != peer)
    left = queries[query].astype(np.float64)
    gap = np.einsum("ij,ij->i", left, vectors[ours[query, rank]].astype(np.float64))
    gap -= np.einsum("ij,ij->i", left, vectors[peer[query, rank]].astype(np.float64))
    return int((np.abs(gap) > 1e-6).sum())


def default_blas(report: Report) -> None:
    """Show what faiss takes with the kernels that its wheel picks by itself."""
    seconds = []
    for flags in ([], ["--default-blas"]):
        env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        command = [sys.executable, "-m", "bench.search", "--faiss-alone", *flags]
        seconds.append(float(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout))
    report.ratio("faiss at its default / faiss told its kernels, 100k x 384", [seconds[1] / seconds[0]])


def faiss_alone() -> None:
    """Print faiss's CPU seconds at 100k x 384."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(384)
    index.add(unit(100_000, 384, 2))
    queries = unit(QUERIES, 384, 1)
    index.search(queries[:10], K)
    print(cpu_seconds(lambda: index.search(queries, K)))


def snippets(words: int, step: int) -> Iterator[str]:
    """Yield windows of ``words`` words of the real texts, ``step`` apart (of characters where words have no spaces)."""
    for path in sorted(REAL.glob("*/*/corpus.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"]
                parts, glue = (list(text), "") if path.parent.name == "ja" else (text.split(), " ")
                size, stride = (4 * words, 4 * step) if glue == "" else (words, step)
                for at in range(0, max(1, len(parts) - size), stride):
                    yield glue.join(parts[at : at + size])


def real_vectors(count: int) -> tuple[Floats, Floats]:
    """Return vectors of real queries and of ``count`` real snippets by the packaged MiniLM (kept in .work/bench)."""
    path = CACHE / f"real-{count}.npz"
    if not path.is_file():
        from graded.retrieval.encoder import Encoder
        from tests.encoders import sample_encoder

        with tempfile.TemporaryDirectory() as folder:
            encoder = Encoder.load(sample_encoder(Path(folder) / "encoder"))
        rng = np.random.default_rng(3)
        texts = list(dict.fromkeys(snippets(8, 2)))
        chosen = [texts[index] for index in rng.permutation(len(texts))[:count]]
        asked = []
        for queries in sorted(REAL.glob("*/*/queries.jsonl.gz")):
            with gzip.open(queries, "rt", encoding="utf-8") as file:
                asked += [json.loads(line)["text"] for line in file]
        asked = [asked[index] for index in rng.permutation(len(asked))[:QUERIES]]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, queries=encoder.encode(asked, "query"), vectors=encoder.encode(chosen, "passage"))
    with np.load(path) as kept:
        return kept["queries"], kept["vectors"]


def parts(rounds: int) -> dict[str, Callable[[Report], None]]:
    """Return what ``--part`` can name; each is a few minutes."""

    def at_384(report: Report) -> None:
        default_blas(report)
        queries, vectors = unit(QUERIES, 384, 1), unit(1_000_000, 384, 2)
        compare(report, "random 1M x 384", queries, vectors, rounds, {"float32": 1.25, "auto": 1.5})

    def at_1024(report: Report) -> None:
        compare(report, "random 500k x 1024", unit(QUERIES, 1024, 1), unit(500_000, 1024, 2), rounds, {"auto": 2.2})

    def real(report: Report) -> None:
        compare(report, "real 130k x 384", *real_vectors(130_000), rounds, {})

    return {"384": at_384, "1024": at_1024, "real": real}


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--faiss-alone", action="store_true")
    parser.add_argument("--default-blas", action="store_true")
    chosen = parser.parse_args()
    if chosen.faiss_alone:
        faiss_alone()
        return
    names = chosen.part or (PARTS if REAL.is_dir() else PARTS[:2])
    report = Report("-".join(["search", *(chosen.part or [])]))
    for name, part in parts(chosen.rounds).items():
        if name in names:
            part(report)
    report.end()


if __name__ == "__main__":
    main()
