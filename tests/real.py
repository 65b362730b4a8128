"""The whole pipeline on real texts, in a temporary clone: `python -m tests.real [--tau 1] [--keep FOLDER]`.

../shared/data holds public question-answering sets in BEIR layout. The sets' own training questions stand in for
LLM-written queries and their judgements for LLM grades (3 = the paragraph a question was asked on, 1 = another
paragraph of its article, 0 = any other), served over HTTP by the tests' stand-in, so that every stage runs as it would
for money.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from graded.cli.profile import overlay
from graded.llm.prompts import neutral
from graded.records import passage_text
from graded.sources import beir
from tests import clones
from tests.standin import StandIn, pair_of
from tests.standin.chat import Answer, Body

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"
PROFILE = ROOT / "profiles" / "real-texts.yaml"
PASSAGE = re.compile(r"\ABEGIN PASSAGE (\w+)\n(?P<passage>.*)\nEND PASSAGE \1\n", re.DOTALL)


def judgements(folders: list[Path]) -> Answer:
    """Return an answerer: for a passage one of its training questions, for a pair its judgement, else 0.

    A passage without a training question gets an empty reply, which is the outcome ``unparseable``.
    """
    questions: dict[str, list[str]] = defaultdict(list)
    grades: dict[tuple[str, str], int] = {}
    for folder in folders:
        texts = {row.doc_id: neutral(passage_text(row.title, row.text)) for row in beir.passages(folder)}
        asked = {row.query_id: " ".join(neutral(row.text).split()) for row in beir.queries(folder)}
        for query_id, doc_id, grade in beir.qrels(folder, "train"):
            grades[asked[query_id], texts[doc_id]] = grade
            if grade == 3:
                questions[texts[doc_id]].append(asked[query_id])

    def reply(body: Body) -> str:
        pair = pair_of(body)
        if pair is not None:
            return f"[{grades.get(pair, 0)}]"
        found = PASSAGE.match(body["messages"][-1]["content"])
        mine = questions.get(found["passage"] if found else "", [])
        second = "key words" in body["messages"][-1]["content"]
        return mine[1 if second and len(mine) > 1 else 0] if mine else ""

    return reply


def configure(target: Path, values: dict[str, Any]) -> None:
    """Lay profiles/real-texts.yaml and ``values`` over the clone's params.yaml; say that the stand-in costs nothing."""
    params = target / "params.yaml"
    text = overlay(params.read_text(encoding="utf-8"), PROFILE.read_text(encoding="utf-8"))
    params.write_text(overlay(text, yaml.safe_dump(values)), encoding="utf-8")
    free = {"input": 0, "cached": 0, "output": 0, "source": "own server"}
    prices = {"models": {"vllm": {"questions": free, "judgements": free}}}
    (target.parent / "prices.yaml").write_text(yaml.safe_dump(prices), encoding="utf-8")


def run(target: Path, command: list[str], base_url: str) -> None:
    """Run one command in the clone with the stand-in as the API."""
    environment = clones.environment(
        target,
        OPENAI_BASE_URL=base_url,
        OPENAI_API_KEY="stand-in",
        GRADED_BUDGET_USD="1",
        GRADED_PRICES=str(target.parent / "prices.yaml"),
    )
    subprocess.run(command, cwd=target, env=environment, check=True)


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tau", type=float, default=2)
    parser.add_argument("--languages", nargs="*", help="fewer of them, for a quick look")
    parser.add_argument("--passages", type=int, help="passages a language to write queries for")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    options = parser.parse_args()
    if not REAL.is_dir():
        raise SystemExit(f"the real texts are not here: {REAL} is absent")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        target = clones.clone(folder / "graded")
        (folder / "shared").symlink_to(REAL.parent)
        profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
        folders, annotators = profile["corpus"]["folder"], profile["grade"]["annotators"]
        started = time.monotonic()
        with StandIn(judgements([REAL / name for name in folders.values()])) as server:
            at = {"base_url": server.base_url}
            asked = {name: settings | at for name, settings in annotators.items()}
            values: dict[str, Any] = {"tau": options.tau, "query": at, "grade": {"annotators": asked}}
            if options.languages:
                values["languages"] = options.languages
            if options.passages:
                values["sample"] = {"size": options.passages}
            configure(target, values)
            run(target, ["dvc", "pull", "--quiet", "--remote", "sample", "data/ledger.dvc"], server.base_url)
            run(target, ["dvc", "repro", "--quiet"], server.base_url)
            run(target, [sys.executable, "-c", "from graded.cli import main; main()", "summary"], server.base_url)
        print(f"{time.monotonic() - started:.0f} s, {sum(server.counts.requests.values()):,} requests to the stand-in")


if __name__ == "__main__":
    main()
