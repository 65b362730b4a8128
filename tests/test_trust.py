"""What others wrote is data: nothing is unpickled, run or unpacked (docs/security.md)."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from graded.errors import DataError, MissingError
from graded.retrieval import weights
from graded.retrieval.description import FILES, Description
from tests import encoders
from tests.conftest import ROOT

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
