"""What the product is made of and how it reaches others: package, bill of materials, audit, forms, workflows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import clones
from tests.conftest import ROOT

GITHUB = ROOT / ".github"


def run(*command: str, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**clones.environment(cwd), "PYTHONPATH": "", **more}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def pins(name: str = "requirements.lock") -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split()[0].split("==") for line in lines if "==" in line)


def test_locks_pin_every_package_and_agree() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        lines = [line for line in lines if line.strip() and not line.startswith("#")]
        assert all("==" in line.split()[0] for line in lines), name
        assert not [line for line in lines if "+" in line.split()[0]], "a local version is on no public index"
    dev = pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in pins()} == pins()


def test_bounds_have_their_reason() -> None:
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        entry = line.strip().split("#")[0]
        if entry.startswith('"') and ("<" in entry or "==" in entry):
            assert "#" in line, f"no reason beside the bound: {entry}"


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.yml")), ids=lambda path: path.stem)
def test_github_files_are_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("name", ["bug", "question", "feature"])
def test_issue_forms_are_as_github_wants_them(name: str) -> None:
    form = yaml.safe_load((GITHUB / f"ISSUE_TEMPLATE/{name}.yml").read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "title", "labels", "body"}
    ids = [block["id"] for block in form["body"] if block["type"] != "markdown"]
    assert ids
    assert len(ids) == len(set(ids))
    for block in form["body"]:
        assert block["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes")
        assert block["attributes"].get("value" if block["type"] == "markdown" else "label")
        if block["type"] == "dropdown":
            assert len(set(block["attributes"]["options"])) == len(block["attributes"]["options"])


@pytest.mark.parametrize("name", ["test", "upkeep"])
def test_workflows_have_no_rights_that_they_do_not_need(name: str) -> None:
    text = (GITHUB / f"workflows/{name}.yml").read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {"contents": "read"}
    more = {right for job in flow["jobs"].values() for right in job.get("permissions", {}).items()}
    assert more <= ({("contents", "read"), ("issues", "write")} if name == "upkeep" else set())
    triggers = flow[True]  # YAML 1.1 reads `on` as true
    assert "pull_request_target" not in triggers
    assert "secrets." not in text.replace("secrets.GITHUB_TOKEN", "")
    assert "persist-credentials: false" in text
    for job in flow["jobs"].values():
        assert job["timeout-minutes"] <= 120


def test_a_benchmark_that_crashes_does_not_stop_the_others(tmp_path: Path) -> None:
    shutil.copy2(ROOT / "Makefile", tmp_path / "Makefile")
    for name, code in {"bad": "1 / 0", "good": "print('measured')", "worse": "raise SystemExit('no peer')"}.items():
        (tmp_path / "bench").mkdir(exist_ok=True)
        (tmp_path / f"bench/{name}.py").write_text(code, encoding="utf-8")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.dev").touch()

    def bench(*more: str) -> subprocess.CompletedProcess[str]:
        quiet = ("--no-print-directory", "--assume-old=.venv/.dev")  # `make test` is a make too
        return run("make", *quiet, "bench", *more, cwd=tmp_path, PYTHONPATH=str(tmp_path), MAKEFLAGS="")

    every = bench()
    assert every.returncode == 2
    assert every.stdout == "measured\n"
    assert "make bench: ended by an error: bad worse; see above" in every.stderr
    assert bench("NAME=good").returncode == 0
    assert "make bench: ended by an error: worse;" in bench("NAME=worse").stderr
    assert "no benchmark 'god'; there are: bad good worse" in bench("NAME=god").stderr


class Advisories(BaseHTTPRequestHandler):
    """OSV's query interface; knows one flaw, of zstandard."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        flaws: list[dict[str, Any]] = []
        if asked["package"]["name"] == "zstandard":
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
            affected = [{"package": {"name": "zstandard", "ecosystem": "PyPI"}, "ranges": ranges, "versions": []}]
            flaws = [{"id": "PYSEC-0", "summary": "made up", "affected": affected, "aliases": []}]
        body = json.dumps({"vulns": flaws} if flaws else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.mark.slow
def test_the_audit_finds_a_flaw_and_says_when_it_could_not_look(advisories: str) -> None:
    done = run(sys.executable, ".ci/audit.py", "-s", "osv", "--osv-url", advisories)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"zstandard {pins()['zstandard']}: PYSEC-0, fixed in 99.0" in done.stdout
    assert (
        done.stdout.splitlines()[-1]
        == f"audit: {len(pins())} of {len(pins())} locked versions looked up, 1 known vulnerabilities"
    )
    nowhere = (sys.executable, ".ci/audit.py", "-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    assert run(*nowhere, CI="true").returncode == 1, "a week without an audit would look like a good one"
    away = run(*nowhere, CI="")
    assert away.returncode == 0
    assert "audit: NOT DONE, no failure here, but one where CI is set" in away.stdout.splitlines()[-1]
    assert all(f"{name}=={version}" in away.stdout for name, version in pins().items())


@pytest.mark.slow
def test_the_bill_of_materials_is_valid_and_whole(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    target = clones.clone(tmp_path / "graded")
    (target / ".venv").mkdir()
    (target / ".venv/.dev").touch()
    done = run("make", "--assume-old=.venv/.dev", "sbom", cwd=target)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (target / "sbom.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert {one["name"]: one["version"] for one in bill["components"]} == pins()
    assert all(one["purl"].startswith("pkg:pypi/") for one in bill["components"])
    assert bill["metadata"]["component"]["name"] == "graded"
    assert done.stdout.strip() == f"sbom.json: {len(pins())} packages"


@pytest.mark.slow
def test_the_package_installs_alone_and_says_what_needs_a_repository(tmp_path: Path) -> None:
    source = clones.clone(tmp_path / "source")
    built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), ".", cwd=source)
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src/graded").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(wanted - held) == [], "package data that the wheel lacks"
    assert not [name for name in held if name.startswith(("tests", "bench"))]
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", *(f"src/{name}" for name in wanted)} <= names

    python = alone(tmp_path / "venv", wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    graded = str(python.with_name("graded"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert run(graded, "--version", cwd=empty).stdout.strip() == f"graded {version}"
    assert "import" in run(graded, "--help", cwd=empty).stdout
    bare = ("estimate", "summary", "calibrate", "ledger pull", "ledger status", "batches", "results", "report", "probe")
    named = ("review main", "compare HEAD main", "scale", "push-model team/model")
    for command in map(str.split, (*bare, "profile paper", "sweep figure5", "remote s3://bucket/prefix", *named)):
        done = run(graded, *command, cwd=empty)
        assert done.returncode == 1, (command, done.stdout, done.stderr)
        assert done.stderr.count("\n") == 1, (command, done.stderr)
        assert done.stderr.startswith("graded: ")
        assert "run this inside a graded repository" in done.stderr, done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    assert not list(empty.iterdir()), "a command that refuses leaves something behind"
    (empty / "p.csv").write_text("id,text\n1,yksi\n", encoding="utf-8")
    done = run(graded, "import", "p.csv", "--lang", "fi", cwd=empty)
    assert done.returncode == 0, done.stderr
    code = "from graded.analysis.page import build; print(len(build.html('t', 'l', [], 'c')))"
    done = run(str(python), "-c", code, cwd=empty)
    assert int(done.stdout) > 5000, done.stderr


def alone(folder: Path, wheel: Path) -> Path:
    """Return the Python of a new environment with the wheel; the dependencies are those of this one."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    (site,) = folder.glob("lib/python*/site-packages")
    here = Path(yaml.__file__).resolve().parents[1]
    (site / "dependencies.pth").write_text(f"import sys; sys.path.append({str(here)!r})\n", encoding="utf-8")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    found = run(str(python), "-c", "import graded; print(graded.__file__)").stdout
    assert str(folder) in found, found
    return python
