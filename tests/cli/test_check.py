"""`graded check`: a fault anywhere in params.yaml is one line before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded import params
from graded.cli.check import fit, legal, needed
from graded.errors import GradedError, ParamError
from tests.conftest import ROOT
from tests.workspace import changed


@pytest.fixture
def text(here: Path) -> str:
    Path("sample/texts").mkdir(parents=True)
    return (ROOT / "params.yaml").read_text(encoding="utf-8")


def test_the_shipped_params_are_legal(text: str) -> None:
    Path("params.yaml").write_text(text, encoding="utf-8")
    legal(Path("params.yaml"))


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("\ntau: 2", "\ntua: 2", "received 'tua' (did you mean 'tau'?)"),
        ("\npair:\n", "\npair:\n  sise: 50\n", "no stage reads pair.sise: received 'sise' (did you mean 'size'?)"),
        ("\nseed: 13", "\nseed: 13\nseed: 14", "'seed' stands twice, again on line"),
        ("  path: sample/texts ", "  path: sample/text ", "corpus.path: no folder sample/text"),
        ("[sample-a, sample-b]", "[sample-b]", "annotator: received 'sample-a'"),
        ("[sample-a, sample-b]", "[sample-a, b]", "annotators: not in grade.annotators: received 'b'"),
        ("recall@100", "recall@200", "recall@200 looks 200 deep, and retrieve.k: received 100"),
        ("  compare: [nDCG@10]", "  compare: [MRR@200]", "evaluate.compare: MRR@200 looks 200 deep, and retrieve.k:"),
        ("  k: 100                    # passages a query in a run\n  k1", "  k: 50\n  k1", "bm25.k: received 50"),
        ("  target: all", "  target: xx", "pair.target: received 'xx'"),
    ],
)
def test_a_fault_is_one_line(text: str, was: str, now: str, says: str) -> None:
    Path("params.yaml").write_text(changed(text, was, now), encoding="utf-8")
    with pytest.raises(GradedError) as caught:
        legal(Path("params.yaml"))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pipeline_without_a_stage_needs_no_section_for_it(text: str) -> None:
    Path("dvc.yaml").write_text("stages: {pair: {cmd: x, params: [tau, pair.size]}}", encoding="utf-8")
    assert needed(Path("dvc.yaml")) == ("pair",)
    assert needed(Path("other.yaml")) == params.SECTIONS
    few = "tau: 2\nlanguages: [fi]\nannotator: a\nannotators: [a]\nseed: 1\n"
    Path("params.yaml").write_text(few + "pair: {}\n", encoding="utf-8")
    fit(Path("params.yaml"), needed(Path("dvc.yaml")))
    with pytest.raises(ParamError, match="section 'encoder' is missing"):
        fit(Path("params.yaml"))
    Path("params.yaml").write_text(few, encoding="utf-8")
    with pytest.raises(ParamError, match="section 'pair' is missing"):
        fit(Path("params.yaml"), needed(Path("dvc.yaml")))
