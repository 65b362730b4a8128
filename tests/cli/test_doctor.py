"""`graded doctor`: one line a check, each fault found in a real clone, the next command, no key shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graded import remote
from graded.cli.checks import Finding, guarded
from graded.cli.doctor import findings, looks, next_command, shown
from graded.cli.profile import overlay
from tests import clones
from tests.conftest import ROOT

COPIED = ("params.yaml", "dvc.yaml", "dvc.lock", ".dvc/config", ".dvc/.gitignore", "prices.yaml")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed repository that is well, and the working directory."""
    target = tmp_path / "graded"
    for name in COPIED:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    (target / "sample/texts").mkdir(parents=True)
    clones.git(target, "init", "--quiet")
    clones.commit(target, "clone")
    for name in ("OPENAI_API_KEY", "GRADED_BUDGET_USD", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "test@example.org")
    monkeypatch.chdir(target)
    return target


def lay(root: Path, profile: str) -> None:
    """Lay a shipped profile over params.yaml."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(overlay(text, (ROOT / f"profiles/{profile}.yaml").read_text("utf-8")), "utf-8")


def found(root: Path, name: str, *, ask: bool = False) -> Finding:
    """Return the worst finding of a check."""
    return sorted(guarded(name, looks(root, ask)[name]), key=lambda one: ("fail", "warn", "ok").index(one.state))[0]


def test_a_clone_that_is_well_has_no_failure_and_a_next_step(clone: Path) -> None:
    seen = findings(clone, ask=True)
    assert [one for one in seen if one.state == "fail"] == []
    assert {one.name for one in seen} == {
        "python", "git", "params.yaml", "dvc.lock", "DVC", "remote", "gpu", "disk", "ledger", "key", "budget",
    }  # fmt: skip
    assert all(len(line) <= 100 for one in seen for line in shown(one).splitlines())
    assert next_command(seen, clone) == "dvc repro"
    (clone / "data/evaluate").mkdir(parents=True)
    (clone / "dvc.lock").write_text("stages: {}", encoding="utf-8")
    assert "graded summary" in next_command(seen, clone)


def test_dvc_files_that_a_kill_left_broken(clone: Path) -> None:
    (clone / "dvc.lock").write_bytes(b"")
    assert found(clone, "dvc.lock").state == "fail"
    assert "is empty" in found(clone, "dvc.lock").text
    assert next_command([found(clone, "dvc.lock")], clone) == "git checkout dvc.lock; dvc repro"
    (clone / "dvc.lock").write_text("stages:\n  a: {cmd: x", encoding="utf-8")
    assert "half-written" in found(clone, "dvc.lock").text
    (clone / "dvc.lock").write_text("stages:\n<<<<<<< HEAD\n  a: {}\n=======\n", encoding="utf-8")
    assert found(clone, "dvc.lock").command == "git checkout --ours dvc.lock; dvc repro"
    (clone / "dvc.lock").unlink()
    assert found(clone, "dvc.lock")[::3] == ("warn", "dvc repro")
    held = clone / ".dvc/tmp/rwlock"
    held.parent.mkdir()
    held.write_text('{"read": {', encoding="utf-8")
    assert found(clone, "DVC")[::3] == ("fail", "rm .dvc/tmp/rwlock")
    held.write_text(f'{{"read": {{}}, "write": {{"x": {{"pid": {os.getpid()}, "cmd": "dvc repro"}}}}}}', "utf-8")
    assert f"PID {os.getpid()}" in found(clone, "DVC").text
    for idle in ('{"read": {}, "write": {"x": {"pid": 4194399, "cmd": "dvc repro"}}}', "{}"):
        held.write_text(idle, encoding="utf-8")
        assert found(clone, "DVC").state == "ok"
    held.write_bytes(b"")
    assert found(clone, "DVC").state == "fail"


def test_params_that_are_illegal_or_left_by_an_experiment(clone: Path) -> None:
    path = clone / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\ntau: 2\n", "\ntau: 3\n"), encoding="utf-8")
    assert found(clone, "git")[::3] == ("warn", "git diff params.yaml")
    path.write_text(text.replace("  epochs: 3", "  epohcs: 3"), encoding="utf-8")
    assert found(clone, "params.yaml").state == "fail"
    assert "did you mean 'epochs'" in found(clone, "params.yaml").text


def test_a_fault_is_told_once(clone: Path) -> None:
    path = clone / "params.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("  max_tokens: 64", "  max_tokens: none"), encoding="utf-8"
    )
    told = [one for one in findings(clone, ask=False) if "query.max_tokens" in one.text]
    assert [one.name for one in told] == ["params.yaml"]


def test_a_corpus_that_is_to_be_fetched(clone: Path) -> None:
    lay(clone, "paper")
    seen = findings(clone, ask=False)
    assert next_command(seen, clone) == "graded fetch miracl --part corpus --to data/source/miracl-corpus"
    assert all(len(line) <= 100 for one in seen for line in shown(one).splitlines())


def test_own_data_are_priced_before_anything_is_bought(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(clone, "own-data")
    (clone / "data/beir").mkdir(parents=True)
    (clone / "data/evaluate").mkdir()  # the sample's
    price = "dvc repro sample; graded estimate; then "
    wanted = price + "export OPENAI_API_KEY=...; GRADED_BUDGET_USD=10 dvc repro"
    assert next_command(findings(clone, ask=False), clone) == wanted
    monkeypatch.setenv("OPENAI_API_KEY", "planted")
    assert next_command(findings(clone, ask=False), clone) == price + "GRADED_BUDGET_USD=10 dvc repro"
    monkeypatch.setenv("GRADED_BUDGET_USD", "5")
    assert next_command(findings(clone, ask=False), clone) == "dvc repro"


def test_a_ledger_whose_name_was_deleted(clone: Path) -> None:
    (clone / "data").mkdir()
    shutil.copy2(ROOT / "data/ledger.dvc", clone / "data/ledger.dvc")
    clones.git(clone, "add", "--force", "data/ledger.dvc")
    clones.commit(clone, "ledger")
    (clone / "data/ledger.dvc").unlink()
    assert found(clone, "ledger")[::3] == ("fail", "git checkout HEAD -- data/ledger.dvc")


def test_a_subfolder_and_deleted_params(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone / "sample")
    assert next_command(findings(Path(), ask=False), Path()) == "cd .."
    monkeypatch.chdir(clone)
    (clone / "params.yaml").unlink()
    assert next_command(findings(Path(), ask=False), Path()) == "git checkout params.yaml"


def test_a_ledger_that_was_not_pulled(clone: Path) -> None:
    (clone / "data").mkdir()
    shutil.copy2(ROOT / "data/ledger.dvc", clone / "data/ledger.dvc")
    assert found(clone, "ledger")[::3] == ("fail", "graded ledger pull")


def test_the_remote_is_asked(clone: Path, tmp_path: Path) -> None:
    assert found(clone, "remote")[::3] == ("warn", "graded remote s3://bucket/prefix")
    remote.write(clone, "team", str(tmp_path / "shared"), {})
    assert found(clone, "remote", ask=True).text.endswith("reads and writes")
    (tmp_path / "shared").rmdir()
    (tmp_path / "shared").write_text("a file in the folder's place", encoding="utf-8")
    assert found(clone, "remote", ask=True).state == "fail"


def test_a_key_is_said_to_be_there_and_never_shown(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clone / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("family: recorded", "family: openai"), encoding="utf-8")
    assert found(clone, "key").state == "warn"
    assert "OPENAI_API_KEY is not set" in found(clone, "key").text
    monkeypatch.setenv("OPENAI_API_KEY", "planted-5f3a")
    assert found(clone, "key").state == "ok"
    monkeypatch.setenv("GRADED_BUDGET_USD", "12.5")
    assert "$12.50" in found(clone, "budget").text
    monkeypatch.setenv("GRADED_BUDGET_USD", "much")
    assert found(clone, "budget")[::3] == ("fail", "unset GRADED_BUDGET_USD")
    done = subprocess.run(
        [sys.executable, "-c", "from graded.cli import main; main()", "doctor"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "planted" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "next: unset GRADED_BUDGET_USD"


def test_a_gpu_is_named(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB'\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    assert "1 x NVIDIA H100" in found(clone, "gpu").text


def test_elsewhere_it_says_that_this_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert found(tmp_path, "repository").state == "fail"
    assert "git clone" in next_command(findings(tmp_path, ask=False), tmp_path)
