"""What others wrote is data: nothing is unpickled, run or unpacked (docs/security.md)."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from graded.cli.bring import bring
from graded.errors import DataError, MissingError, ParamError
from graded.formats import table, trec
from graded.llm.request import Model
from graded.params import languages
from graded.retrieval import description, weights
from graded.retrieval.description import FILES, Description
from graded.retrieval.publish import check_name
from graded.stages import benchmark, corpus, grade, query, sample
from tests import encoders
from tests.conftest import ROOT
from tests.llm import buying
from tests.llm import workspace as work
from tests.standin import StandIn
from tests.workspace import write_beir, write_params

#: Modules that unpickle, run or unpack what they read.
BANNED = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile", "zipfile",
}  # fmt: skip
#: Calls that do, and the one keyword that makes them harmless.
CALLS = {
    "torch.load": None, "torch.save": None, "eval": None, "exec": None, "os.system": None,
    "shutil.unpack_archive": None, "yaml.unsafe_load": None, "yaml.full_load": None, "np.fromfile": None,
    "yaml.load": ("Loader", "_Loader"), "np.load": ("allow_pickle", "False"),
    **{f"Auto{one}.from_pretrained": ("trust_remote_code", "False") for one in ("Model", "Config", "Tokenizer")},
}  # fmt: skip
#: Keywords that may not be given, whatever is called.
NEVER = {
    ("shell", "True"),
    ("trust_remote_code", "True"),
    ("allow_pickle", "True"),
    ("verify", "False"),
    ("ssl", "False"),
}


def dangers(source: str) -> Iterator[str]:
    """Yield what ``source`` does with foreign bytes that could run them."""
    for node in ast.walk(ast.parse(source)):
        names = [one.name for one in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.split(".")[0] in BANNED)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {(one.arg, ast.unparse(one.value)) for one in node.keywords}
            if called in CALLS and CALLS[called] not in given:
                yield called
            yield from (f"{name}={value}" for name, value in given & NEVER)
            if called in ("import_module", "importlib.import_module") and BANNED & {ast.unparse(a) for a in node.args}:
                yield called


def test_no_source_unpickles_runs_or_unpacks_what_it_reads() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {danger}"
        for folder in ("src", "sample")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for danger in dangers(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import torch\ntorch.load('x')", "np.load(path)",
        "np.load(path, allow_pickle=True)", "import yaml\nyaml.load(text)", "yaml.load(t, Loader=yaml.Loader)",
        "AutoModel.from_pretrained(x)", "AutoConfig.from_pretrained(x, trust_remote_code=True)",
        "subprocess.run(c, shell=True)", "import tarfile", "eval(text)",
    ],
)  # fmt: skip
def test_the_search_finds_each(source: str) -> None:
    assert list(dangers(source))


def test_lists_of_files_hold_no_pickle_and_no_code() -> None:
    assert not [
        name for name in FILES if name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt", ".py", ".h5", ".msgpack"))
    ]


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (self.target, "w"))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model's folder with good weights, a trap beside them, and configurations that name code to run."""
    folder = encoders.random_encoder(tmp_path / "hostile", "bert")
    ran = tmp_path / "ran"
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Trap(ran)))
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: pass\n")
    for name, keys in (("config.json", ("AutoConfig", "AutoModel")), ("tokenizer_config.json", ("AutoTokenizer",))):
        values = json.loads((folder / name).read_text())
        code = {key: ["evil.Evil", None] if key == "AutoTokenizer" else "evil.Evil" for key in keys}
        (folder / name).write_text(json.dumps({**values, "auto_map": code}))
    description.write(folder, Description(source="path", name="hostile", max_length=64))
    return folder


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "ran"))).close()
    assert (tmp_path / "ran").exists()


def test_a_hostile_model_runs_nothing(hostile: Path, tmp_path: Path) -> None:
    from graded.retrieval.encoder import Encoder

    record = Description(source="path", name="hostile", max_length=64)
    weights.pin(hostile, tmp_path / "pinned", record, {})
    assert not [path.name for path in (tmp_path / "pinned").iterdir() if path.suffix in (".bin", ".pt", ".py")]
    for folder in (tmp_path / "pinned", hostile):
        assert Encoder.load(folder, workers=1).encode(["text"], "query").shape[0] == 1
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_alone_are_one_line(hostile: Path, tmp_path: Path) -> None:
    (hostile / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="only safetensors are read, convert the weights first"):
        weights.pin(hostile, tmp_path / "pinned", Description(source="path", name="hostile"), {})
    (hostile / "model.safetensors").write_bytes((hostile / "pytorch_model.bin").read_bytes())
    weights.pin(hostile, tmp_path / "pinned", Description(source="path", name="hostile", max_length=64), {})
    from graded.retrieval.encoder import Encoder

    with pytest.raises(DataError, match="the weights do not open"):
        Encoder.load(tmp_path / "pinned", workers=1)
    assert not (tmp_path / "ran").exists()


IDS = [
    "../../outside", "/etc/passwd", "..", "a\0b", "<script>alert(1)</script>", "';DROP/**/TABLE/**/judged;--", "{lang}",
    "$(touch${IFS}outside)", "%2e%2e%2foutside", "\u202egnp.exe", "n" * 5000, "C:\\windows\\x",
]  # fmt: skip


def test_an_id_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "deep/inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("GRADED_BUDGET_USD", "1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with StandIn() as server:
        model = {"model": buying.MODEL, "base_url": server.base_url}
        work.make(inside, query=model, grade={"annotators": {"a": model}}, languages=["fi"], annotators=["a"])
        params = yaml.safe_load((inside / "params.yaml").read_text(encoding="utf-8"))
        params |= {"corpus": {"path": "texts"}, "sample": {"size": 50}}
        params |= {"benchmark": {"path": "texts", "sets": {"own": {"folder": "{lang}"}}}}
        (inside / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        passages = [(name, name, f"text {number}") for number, name in enumerate([*IDS, "judged"])]
        write_beir(inside / "texts/fi", passages, [(name, name) for name in IDS], {"test": [(IDS[0], "judged", 1)]})
        for stage in (corpus, benchmark, sample, query):
            stage.main()
        rows = list(table.read_rows(Path("data/query/fi.parquet"), "query_id", "doc_id"))
        assert {doc_id for _, doc_id in rows} == {*IDS}
        near = [(query_id, IDS[number % len(IDS)], 1, 1.0) for number, (query_id, _) in enumerate(rows)]
        table.write_rows(Path("data/candidate/fi.parquet"), work.CANDIDATES, near)
        grade.main()
        trec.write_run(Path("own.trec"), [trec.Hit(name, name, 1, 1.0) for name in IDS], "t")
    assert [hit.doc_id for hit in trec.read_run(Path("own.trec"))] == IDS
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["inside"]
    made = {str(path.relative_to(inside)) for path in inside.rglob("*") if path.is_file()}
    known = re.compile(
        r"(texts|prompts)/.*|(params|prices)\.yaml|own\.trec|data/(corpus|sample|query|candidate|grade/a)/fi\.parquet"
        r"|data/benchmark/own/(benchmark\.json|fi-fi/(queries|qrels)\.parquet)|metrics/query\.json|\.ledger/[\w./-]+"
    )
    assert [name for name in sorted(made) if not known.fullmatch(name)] == []


@pytest.mark.parametrize("name", ["../fi", "/fi", "fi/..", "f\0", "..", "fi'--"])
def test_a_name_that_becomes_a_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, languages=[name])
    with pytest.raises(ParamError, match="two or three small letters"):
        languages()
    write_beir(tmp_path / "texts/fi", [("d", "", "t")], [("q", "t")], {"test": [("q", "d", 1)]})
    write_params(tmp_path, languages=["fi"], benchmark={"path": "texts", "sets": {name: {"folder": "{lang}"}}})
    with pytest.raises(ParamError, match="a name has letters, digits"):
        benchmark.main()
    with pytest.raises(ParamError, match="a name may hold letters, digits"):
        grade.jobs(grade.Params(annotators={name: Model(model="m")}), [name], ["fi"])
    with pytest.raises(ParamError, match="--lang: received"):
        bring(tmp_path / "texts/fi/corpus.jsonl", name)
    with pytest.raises(ParamError, match="expected owner/model"):
        check_name(name)
    assert not [path for path in tmp_path.glob("data/**/*") if path.is_file()]


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 15
    assert sorted(named - tests) == []
    assert [name for name in re.findall(r"`(tests/[\w/.]+)`", page) if not (ROOT / name).exists()] == []
