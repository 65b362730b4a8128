"""A real git and DVC repository whose stages have the pipeline's names and files, and take no time.

tau 2 is the best for fi, tau 1 for ar; larger sizes score higher; the scores are noisy by query. tau 2.5 fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STAGE = """
import hashlib, json, random, sys, time
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq, yaml
p = yaml.safe_load(open("params.yaml"))
time.sleep(p["train"]["weight_decay"])
tau = p["tau"]
of = lambda lang: tau.get(lang, tau.get("default", 2)) if isinstance(tau, dict) else tau
if tau == 2.5:
    sys.exit("no grade reaches tau 2.5")
rows = []
def noise(*key):
    return random.Random(repr(key)).gauss(0, 1)
size = p["pair"]["size"] or 400
for name in ("sample", "sample-dev"):
    for lang in p["languages"]:
        best = {"fi": 2, "ar": 1}.get(lang, 2)
        lift = 0.1 - 0.06 * abs(of(lang) - best) + 0.00005 * size
        for q in range(24):
            level = 0.5 + 0.1 * noise(lang, q)
            tuned = level + lift + 0.03 * noise(lang, q, of(lang), size, p["train"]["seed"], name)
            for system, value in (("tuned", tuned), ("base", level)):
                rows.append((name, lang, lang, system, f"q{q}", "nDCG@10", min(max(value, 0.0), 1.0)))
columns = ["set", "query_lang", "doc_lang", "system", "query_id", "metric", "value"]
Path("data/evaluate").mkdir(parents=True, exist_ok=True)
pq.write_table(pa.table(dict(zip(columns, map(list, zip(*rows))))), "data/evaluate/per_query.parquet")
Path("metrics").mkdir(exist_ok=True)
means = {}
for lang in p["languages"]:
    values = [r[6] for r in rows if r[0] == "sample" and r[1] == lang and r[3] == "tuned"]
    means[lang] = {"nDCG@10": sum(values) / len(values)}
Path("metrics/evaluate.json").write_text(json.dumps({"sample": means}))
"""

PAIR = """
import pyarrow as pa, pyarrow.parquet as pq, yaml
p = yaml.safe_load(open("params.yaml"))
n = p["pair"]["size"] or 400
pq.write_table(pa.table({"lang": ["fi"] * n, "positive": [i % 3 == 0 for i in range(n)]}), "data/pair.parquet")
"""

DVC = """\
stages:
  pair:
    cmd: python pair.py
    deps: [pair.py]
    params: [tau, languages, pair.size]
    outs: [data/pair.parquet]
  evaluate:
    cmd: python stage.py
    deps: [stage.py, data/pair.parquet]
    params: [tau, languages, seed, train, pair.size]
    outs: [data/evaluate]
    metrics:
      - metrics/evaluate.json: {cache: false}
  report:
    cmd: python -c "raise SystemExit('experiments need no report')"
    deps: [data/evaluate]
    params: [report]
    outs: [report.html]
"""

PARAMS = """\
tau: 2
languages: [fi, ar]
annotator: sample-a
annotators: [sample-a]
seed: 13
encoder: {source: path, name: toy, pooling: mean, max_length: 8, query_prefix: "", passage_prefix: ""}
benchmark:
  path: none
  sets:
    sample: {role: test}
    sample-dev: {role: dev}
pair: {target: all, size: null, count: pairs, extra: {language: null, size: null}}
train: {weight_decay: 0, seed: null}  # here weight_decay is how many seconds a run takes
evaluate: {metrics: [nDCG@10]}
report: {}
"""


def make(folder: Path) -> Path:
    """Make the repository and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"stage.py": STAGE, "pair.py": PAIR, "dvc.yaml": DVC, "params.yaml": PARAMS}
    for name, text in files.items():
        (folder / name).write_text(text.lstrip("\\n"), encoding="utf-8")
    (folder / "data").mkdir()
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "dvc", "init", "--quiet")
    for key, value in (("core.analytics", "false"), ("core.check_update", "false"), ("core.autostage", "true")):
        run(folder, "dvc", "config", key, value)
    (folder / ".gitignore").write_text("/data/\n/.work/\n/report.html\n/results/\n__pycache__/\n", encoding="utf-8")
    commit(folder, "toy pipeline")
    return folder


def commit(folder: Path, message: str) -> str:
    """Commit everything and return the commit."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", message)
    return run(folder, "git", "rev-parse", "HEAD").strip()


def run(folder: Path, *command: str) -> str:
    """Run a command in the folder, with this Python's programs first and a git identity, and return its output."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    """The environment of a person at work in the repository."""
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
    return clean | names | {"PATH": path}
