"""Known vulnerabilities of the locked versions: `make audit` (options are passed on to pip-audit).

pip-audit ends well where it could not look a single package up; here that is said, with what was to be looked up. Exit
code 1 where a vulnerability is known, and in CI (the variable CI is set) where none was looked up; 0 otherwise. The
last line says which.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"


def look_up(options: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Return pip-audit's list of dependencies, and its last words where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "audit.json"
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(out), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if out.is_file() and out.stat().st_size:
            return json.loads(out.read_text(encoding="utf-8"))["dependencies"], ""
        return [], (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]


def main() -> int:
    """Print what is known and return the exit code."""
    found, reason = look_up(sys.argv[1:])
    seen = [one for one in found if "skip_reason" not in one]
    bad = [(one, flaw) for one in seen for flaw in one["vulns"]]
    for one, flaw in bad:
        fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
        print(f"{one['name']} {one['version']}: {flaw['id']}, fixed in {fixed}: https://osv.dev/{flaw['id']}")
    locked = [line.split()[0] for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line]
    known = {one["name"] for one in seen}
    missed = [line for line in locked if line.partition("==")[0].lower().replace("_", "-") not in known]
    if missed:
        print("not looked up:\n  " + "\n  ".join(missed))
    if not seen:
        reason = reason or "the advisories answered for none of them"
        automatic = bool(os.environ.get("CI"))
        ends = "a failure, as CI is set" if automatic else "no failure here, but one where CI is set"
        text = f"the advisories cannot be reached ({reason}); the {len(locked)} locked versions are above"
        print(f"audit: NOT DONE, {ends}: {text}")
        return 1 if automatic else 0
    print(f"audit: {len(seen)} of {len(locked)} locked versions looked up, {len(bad)} known vulnerabilities")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
