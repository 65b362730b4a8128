"""CONTRIBUTING.md's four additions, made to a copy of the repository exactly as it says, and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import clones
from tests.conftest import ROOT

BLOCKS = dict(
    zip(
        ("objective", "annotator", "price", "source", "stage", "map"),
        re.findall(r"```(?:python|yaml)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL),
        strict=True,
    )
)
IMPORTS = {
    "source": "from collections.abc import Iterator\nfrom pathlib import Path\n\n"
    "from graded.records import Passage, Qrel, Query\nfrom graded.sources.lines import lines\n",
    "stage": "from pathlib import Path\nfrom statistics import fmean\n\nfrom graded import params\n"
    "from graded.console import run\nfrom graded.formats import atomic, table\n",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_each_is_under_ten_lines(name: str) -> None:
    assert 0 < sum(bool(line.strip()) for line in BLOCKS[name].splitlines()) < 10


def change(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert text.count(old) == 1, f"{path}: {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def indented(name: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in BLOCKS[name].splitlines())


def add_all(target: Path) -> None:
    source = target / "src/graded"
    change(
        source / "retrieval/training/objectives.py",
        ("OBJECTIVES: dict", BLOCKS["objective"] + "\n\nOBJECTIVES: dict"),
        ('    "rand1lh": rand1lh,\n', '    "rand1lh": rand1lh,\n    "hardlh": hardlh,\n'),
        ('MULTIPLE = frozenset({"jointlh"', 'MULTIPLE = frozenset({"hardlh", "jointlh"'),
    )
    change(source / "retrieval/training/settings.py", ('"lsepair", "rand1lh"]', '"lsepair", "rand1lh", "hardlh"]'))
    head = next(
        line for line in (target / "params.yaml").read_text(encoding="utf-8").splitlines() if "  annotators:" in line
    )
    change(
        target / "params.yaml",
        (head, f"{head}\n{indented('annotator', 4)}"[:-1]),
        ("\nreport:", "\nlength: {digits: 1}\n\nreport:"),
    )
    change(target / "prices.yaml", ("  vllm:\n", "  vllm:\n" + indented("price", 4)))
    (source / "sources/plain.py").write_text(IMPORTS["source"] + "\n\n" + BLOCKS["source"], encoding="utf-8")
    change(
        source / "sources/readers.py",
        ('"clirmatrix"]', '"clirmatrix", "plain"]'),
        ('"trec": topics}', '"trec": topics, "plain": plain}'),
        ("import beir, clirmatrix, miracl, topics", "import beir, clirmatrix, miracl, plain, topics"),
    )
    (source / "stages/length.py").write_text(IMPORTS["stage"] + "\n\n" + BLOCKS["stage"], encoding="utf-8")
    change(source / "params.py", ('"evaluate", "report",', '"evaluate", "report", "length",'))
    (target / "tests/stages/test_length.py").write_text('"""Stage length."""\n', encoding="utf-8")
    change(target / "dvc.yaml", ("    outs: [report]\n", f"    outs: [report]\n{indented('map', 2)}"))


USE = """
from pathlib import Path
from graded import params
from graded.llm import prices
from graded.retrieval.training.settings import Settings
from graded.stages import corpus, grade
from graded.formats import table
job, = grade.jobs(params.section("grade", grade.Params), ["mine"], ["fi"])
assert prices.load().of(job.model).input == 0
assert Settings(objective="hardlh").objective == "hardlh"
Path("texts/fi").mkdir(parents=True)
Path("texts/fi/passages.txt").write_text("yksi\\nkaksi\\n")
chosen = corpus.Params(source="plain", path="texts")
assert corpus.reader(chosen, ["fi"]).write_passages("fi", Path("fi.parquet")) == 2
assert list(table.read_rows(Path("fi.parquet")))[1] == ("1", "", "kaksi")
"""


@pytest.mark.slow
def test_all_four_work_as_written(tmp_path: Path) -> None:
    target = clones.clone(tmp_path / "graded")
    add_all(target)
    path = f"{target / 'src'}:{target}"

    def ran(*command: str) -> str:
        environment = clones.environment(target, PYTHONPATH=path)
        done = subprocess.run(command, cwd=target, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    ran(sys.executable, "-m", "tests.closure", "--write")
    ran(sys.executable, "-c", USE)
    tests = ["tests/test_map.py", "tests/test_params.py", "tests/retrieval/training/test_objectives.py"]
    ran(sys.executable, "-m", "pytest", "-q", "-n", "0", *tests)
    ran("lint-imports", "--no-cache")
    assert "Running stage 'length'" in ran("dvc", "repro", "length")
    assert float((target / "data/length/fi.json").read_text()) > 10
