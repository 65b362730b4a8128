"""The whole pipeline on real texts, in a temporary clone: `python -m tests.real [--tau 1] [--keep FOLDER]`.

The texts are public question-answering sets in BEIR layout (docs/real-texts.md), in data/real, ../shared/data, or the
folder of --texts. The sets' own training questions stand in for LLM-written queries, and grades made from their
judgements by rule (tests/judged.py) for LLM grades, served over HTTP by the tests' stand-in, so that every stage runs
as it would for money.

    python -m tests.real --sweep figure5 --form small --keep FOLDER    # a sweep on them, its table and its figures
    python -m tests.real --calibrate fi --size 1000 --keep FOLDER      # tau for Finnish, on the set's own dev split
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from graded.cli.profile import overlay
from tests import clones
from tests.judged import Judge
from tests.standin import StandIn, pair_of
from tests.standin.chat import Answer, Body

ROOT = Path(__file__).resolve().parents[1]
#: Where the texts may stand; the first that is there.
PLACES = (ROOT / "data/real", ROOT.parent / "shared" / "data")
PROFILE = ROOT / "profiles" / "real-texts.yaml"
PASSAGE = re.compile(r"\ABEGIN PASSAGE (\w+)\n(?P<passage>.*)\nEND PASSAGE \1\n", re.DOTALL)


#: The sets that a sweep is measured on.
SEARCHED = ["xquad-fi", "jsquad"]


def judgements(folders: dict[str, Path]) -> Answer:
    """Return an answerer: for a passage one of its training questions, for a pair its grade.

    Key words are asked for as a second query: a passage with one training question gets an empty reply there, one with
    none gets two, which is the outcome ``unparseable``.
    """
    judges = [Judge(folder, lang) for lang, folder in folders.items()]

    def reply(body: Body) -> str:
        pair = pair_of(body)
        if pair is not None:
            return f"[{max(one.grade(*pair) for one in judges)}]"
        content = body["messages"][-1]["content"]
        found = PASSAGE.match(content)
        passage, nth = found["passage"] if found else "", int("key words" in content)
        questions: list[str] = next((one.questions[passage] for one in judges if passage in one.questions), [])
        return questions[nth] if nth < len(questions) else ""

    return reply


def configure(target: Path, values: dict[str, Any]) -> None:
    """Lay profiles/real-texts.yaml and ``values`` over the clone's params.yaml; say that the stand-in costs nothing."""
    params = target / "params.yaml"
    params.write_text(overlay(params.read_text("utf-8"), PROFILE.read_text("utf-8")), encoding="utf-8")
    clones.lay(params, values)
    free = {"input": 0, "cached": 0, "output": 0, "source": "own server"}
    prices = {"date": "2026-11-21", "models": {"vllm": {"questions": free, "judgements": free}}}
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


def settings(base_url: str, options: argparse.Namespace, profile: dict[str, Any]) -> dict[str, Any]:
    """Return what params.yaml says beside the profile: the stand-in's address, and what was asked for."""
    at = {"base_url": base_url}
    annotators = {name: one | at for name, one in profile["grade"]["annotators"].items()}
    values: dict[str, Any] = {"tau": options.tau, "query": at, "grade": {"annotators": annotators}}
    # Experiments run in copies of the clone elsewhere, so the texts need an absolute path.
    stand = {"path": str(options.texts.resolve())}
    values |= {"corpus": stand, "benchmark": stand}
    if options.sweep:
        # What four cores can do in an hour: short training texts, and the two smaller collections to search.
        values |= {"retrieve": {"sets": SEARCHED, "directions": "target"}, "train": {"max_length": 128}}
    if options.calibrate:
        sets = profile["benchmark"]["sets"]
        dev = [name for name, one in sets.items() if one.get("role") == "dev" and options.calibrate in one["folder"]]
        values |= {"retrieve": {"sets": dev, "directions": "target"}, "train": {"max_length": 128}}
    if options.languages:
        values["languages"] = options.languages
    if options.passages:
        values["sample"] = {"size": options.passages}
    return values


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    texts = next((place for place in PLACES if place.is_dir()), PLACES[0])
    parser.add_argument("--texts", type=Path, default=texts, help="folder of <set>/<lang>/ in BEIR layout")
    parser.add_argument("--tau", type=float, default=2)
    parser.add_argument("--languages", nargs="*", help="fewer of them, for a quick look; a sweep has fi and ja")
    parser.add_argument("--passages", type=int, help="passages a language to write queries for; a sweep has 1,000")
    parser.add_argument("--sweep", help="a sweep of sweeps/ to run on them")
    parser.add_argument("--form", default="small", help="its form")
    parser.add_argument("--calibrate", metavar="LANG", help="a language whose tau to calibrate on them")
    parser.add_argument("--size", type=int, default=1000, help="graded pairs of the model that it is calibrated for")
    parser.add_argument("--jobs", type=int, default=2, help="its experiments at a time")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it; go on where it is there")
    options = parser.parse_args()
    if options.calibrate:
        options.languages, options.passages = options.languages or [options.calibrate], options.passages or 1000
    if options.sweep:
        options.languages, options.passages = options.languages or ["fi", "ja"], options.passages or 1000
    return options


def main() -> None:
    """Run it and print the table."""
    options = arguments()
    if not options.texts.is_dir():
        raise SystemExit(f"no real texts: no folder {options.texts}; docs/real-texts.md says how to get them")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "graded"
        if not target.exists():
            clones.clone(target)
            (target / "dvc.lock").unlink()  # the sample's, of which nothing is here
        profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
        folders = profile["corpus"]["folder"]
        wanted = options.languages or list(folders)
        started = time.monotonic()
        with StandIn(judgements({lang: options.texts / folders[lang] for lang in wanted})) as server:
            configure(target, settings(server.base_url, options, profile))
            graded = [sys.executable, "-c", "from graded.cli import main; main()"]
            run(target, ["dvc", "pull", "--quiet", "--remote", "sample", "data/ledger.dvc"], server.base_url)
            if options.sweep or options.calibrate:
                run(target, ["dvc", "repro", "--quiet", "agree", "balance", "retrieve@base", "bm25"], server.base_url)
                clones.commit(target, "The texts, graded")
            if options.calibrate:
                size = ["--size", str(options.size), "--jobs", str(options.jobs)]
                run(target, [*graded, "calibrate", "--target", options.calibrate, *size], server.base_url)
            elif options.sweep:
                out = f"results/{options.sweep}.parquet"
                sweep = [options.sweep, "--form", options.form, "--jobs", str(options.jobs)]
                run(target, [*graded, "sweep", *sweep], server.base_url)
                run(target, [*graded, "results", "--sweep", options.sweep, "--out", out], server.base_url)
                run(target, [*graded, "figures", out, "--out", "figures"], server.base_url)
            else:
                run(target, ["dvc", "repro", "--quiet"], server.base_url)
                run(target, [*graded, "summary"], server.base_url)
        print(f"{time.monotonic() - started:.0f} s, {sum(server.counts.requests.values()):,} requests to the stand-in")


if __name__ == "__main__":
    main()
