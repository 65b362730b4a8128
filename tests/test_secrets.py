"""Keys stand in the environment alone: not in the ledger, a log, dvc.lock, a metric, the page or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from graded import console
from graded.errors import ParamError
from graded.formats.redact import redact, secrets
from graded.llm.request import Model
from graded.params import parse
from graded.stages import grade as stage
from tests import clones, planted
from tests.llm import buying
from tests.planted import Echo, address, found

MODEL = "gpt-4o-2024-11-20"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in planted.SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def grade(
    tmp_path: Path, keys: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return what runs stage grade in tmp_path, as its process would, and gives the exit code and all that it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADED_BUDGET_USD", "1000")

    def once(**more: str) -> tuple[int, str]:
        with monkeypatch.context() as patch:
            for name, value in more.items():
                patch.setenv(name, value)
            code = 0
            try:
                console.run(stage.main)
            except SystemExit as ended:
                code = int(str(ended.code))
        said = capsys.readouterr()
        return code, said.out + said.err

    return once


def test_an_endpoint_that_repeats_the_key_gets_it_written_nowhere(
    tmp_path: Path, grade: Callable[..., tuple[int, str]]
) -> None:
    with Echo(api_key=planted.SECRETS["OPENAI_API_KEY"]) as server:
        buying.make(tmp_path, server, pairs=20)
        refused, why = grade(OPENAI_API_KEY=planted.SECRETS["OPENAI_API_KEY"] + "-typo")
        done, said = grade()
    assert refused == 1
    assert "*** is not right" in why
    assert done == 0, said
    lines = [json.loads(line) for path in tmp_path.glob(".ledger/live/*") for line in path.read_text().splitlines()]
    replies = [line["reply"] for line in lines if line["kind"] == "reply"]
    assert len(replies) == 20
    assert {reply["system_fingerprint"] for reply in replies} == {"***"}, "the server repeated nothing"
    assert found(tmp_path, why, said) == []


def test_an_address_with_a_password_works_from_the_environment_alone(
    tmp_path: Path, grade: Callable[..., tuple[int, str]]
) -> None:
    with Echo() as server:
        buying.make(tmp_path, server, pairs=10)
        buying.asks(tmp_path, server, base_url=None)
        unknown, why = grade(OPENAI_BASE_URL=address("http://nowhere.invalid:x/v1"))
        done, said = grade(OPENAI_BASE_URL=address(server.base_url))
        assert done == 0, said
        assert server.counts.billed.total() == 10
        buying.asks(tmp_path, server, base_url=address(server.base_url))
        written, refused = grade()
    (tmp_path / "params.yaml").unlink()  # the user's own writing
    assert (unknown, written) == (1, 1)
    assert "\ngraded: OPENAI_BASE_URL: received 'http://***@nowhere.invalid:x/v1'" in f"\n{why}"
    assert "carries credentials" in refused
    assert refused.count("graded: ") == why.count("graded: ") == 1
    assert found(tmp_path, why, said, refused) == []


@pytest.mark.parametrize(
    "values",
    [
        {"base_url": "http://planted-user:planted@host/v1"},
        {"base_url": "https://host/v1?api-key=planted"},
        {"base_url": "https://host/v1?sv=2024&sig=planted"},
        {"key_env": "sk-planted"},
        {"key_env": "hf_planted"},
        {"key_env": "planted", "extra": {"n": 2}},
        {"extra": {"n": 2, "user": "planted"}},
    ],
)
def test_a_key_in_params_is_refused_without_repeating_it(values: dict[str, object]) -> None:
    with pytest.raises(ParamError) as raised:
        parse("grade.annotators.a", {"model": "m", **values}, Model)
    assert "planted" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_bug_keeps_its_traceback_and_no_key(keys: None) -> None:
    code = "import os; from graded.console import run, say\ndef main():\n    say(os.environ['HF_TOKEN'])\n"
    code += "    raise RuntimeError(os.environ['OPENAI_API_KEY'])\nrun(main)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == "***\n"
    assert "Traceback" in done.stderr
    assert "RuntimeError: ***" in done.stderr
    assert found(Path("/nonexistent"), done.stdout, done.stderr) == []


def test_what_counts_as_a_secret(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "not-a-secret")
    monkeypatch.setenv("SHORT_KEY", "abc")
    assert set(planted.SECRETS.values()) <= set(secrets())
    assert not {"not-a-secret", "abc"} & set(secrets())
    assert redact("https://a:b@c.d/e?x=1&token=t#f g@h.i") == "https://***@c.d/e?x=1&token=***#f g@h.i"


def small(target: Path, own: str) -> None:
    """Make the clone's run small, and bought: writer and judge a at OPENAI_BASE_URL, b at ``own``, c at Azure."""
    judges = {
        "a": {"model": MODEL, "family": "openai", "max_tokens": 8},
        "b": {"model": "judge", "family": "vllm", "base_url": own, "max_tokens": 8},
        "c": {"model": MODEL, "family": "azure", "max_tokens": 8},
    }
    values = {
        "languages": ["fi", "en"], "annotators": ["a", "b", "c"], "annotator": "mean",
        "sample": {"size": 12}, "query": {"model": MODEL, "family": "openai"}, "grade": {"annotators": judges},
        "train": {"budget": "steps", "steps": 2, "batch_size": 8}, "evaluate": {"resamples": 100},
    }  # fmt: skip
    clones.lay(target / "params.yaml", values)
    free = {"input": 0, "cached": 0, "output": 0, "source": "own server"}
    (target / "own.yaml").write_text(
        yaml.safe_dump({"date": "2026-11-21", "models": {"vllm": {"judge": free}}}), encoding="utf-8"
    )


@pytest.mark.slow
def test_a_whole_run_leaves_no_key_in_any_file(tmp_path: Path) -> None:
    target = clones.clone(tmp_path / "graded")
    said: list[str] = []

    def ran(*command: str, fails: bool = False, **more: str) -> str:
        done = clones.run(target, *command, prefix=None, timeout=500, **(environment | more))
        assert (done.returncode != 0) is fails, done.stdout[-2000:] + done.stderr[-2000:]
        said.extend([done.stdout, done.stderr])
        return done.stdout + done.stderr

    with (
        Echo() as server,
        Echo(api_key=planted.SECRETS["VLLM_API_KEY"]) as own,
        Echo(api_key=planted.SECRETS["AZURE_OPENAI_API_KEY"]) as azure,
    ):
        environment = {
            "AZURE_OPENAI_ENDPOINT": azure.base_url.removesuffix("/v1"), "OPENAI_API_VERSION": "2024-10-21",
            **planted.SECRETS, "OPENAI_BASE_URL": address(server.base_url), "GRADED_BUDGET_USD": "5",
            "GRADED_PRICES": "own.yaml",
        }  # fmt: skip
        small(target, own.base_url)
        clones.commit(target, "small")
        ran("dvc", "pull", "data/ledger.dvc")
        ran("dvc", "repro", "sample")
        ran("graded", "estimate")
        assert "*** is not right" in ran("dvc", "repro", fails=True, VLLM_API_KEY=planted.SECRETS["VLLM_API_KEY"] + "x")
        ran("dvc", "repro")
        clones.commit(target, "ran")
        ran("dvc", "exp", "run", "--temp", "-S", "tau=3")
        ran("dvc", "exp", "run", "--temp", "-S", "tau=9", fails=True)
        ran("graded", "ledger", "publish")
        ran("graded", "ledger", "export", "replies.jsonl")
        ran("graded", "summary")
        assert server.counts.billed.total() > 0
        assert own.counts.billed.total() > 0
        assert azure.counts.billed.total() > 0
    for name in (
        "dvc.lock",
        "metrics/evaluate.json",
        "report/index.html",
        ".dvc/cache",
        ".dvc/tmp",
        ".ledger",
        ".work",
    ):
        assert (target / name).exists(), name
    assert found(target, *said) == []
