"""Encoder.encode against transformers' own padded forward."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from graded.errors import DataError, MissingError, ParamError
from graded.retrieval import description
from graded.retrieval.description import Pooling
from graded.retrieval.encoder import Encoder
from tests import encoders


def cosine(have: np.ndarray, want: torch.Tensor) -> float:
    """Return the smallest cosine of a row with its reference."""
    return float((torch.from_numpy(have) * torch.nn.functional.normalize(want, dim=1)).sum(1).min())


def test_encode_gives_transformers_vectors(bert: Path) -> None:
    have = Encoder.load(bert).encode(encoders.TEXTS, "passage")
    want = torch.nn.functional.normalize(encoders.reference(bert, encoders.TEXTS), dim=1).numpy()
    assert have.dtype == np.float32
    assert have.shape == (len(encoders.TEXTS), 384)
    np.testing.assert_allclose(have, want, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(have, axis=1), 1, atol=1e-6)


def test_prefix_of_the_kind_is_used(xlmr: Path) -> None:
    encoder = Encoder.load(xlmr)
    kinds: tuple[description.Kind, ...] = ("query", "passage")
    for kind in kinds:
        want = torch.nn.functional.normalize(encoders.reference(xlmr, encoders.TEXTS, f"{kind}: "), dim=1).numpy()
        np.testing.assert_allclose(encoder.encode(encoders.TEXTS, kind), want, atol=5e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "roberta"])
def test_pooling_of_each_family(tmp_path: Path, model_type: str, pooling: Pooling) -> None:
    folder = encoders.random_encoder(tmp_path, model_type, pooling=pooling)
    have = Encoder.load(folder, workers=2).encode(encoders.TEXTS, "passage")
    assert cosine(have, encoders.reference(folder, encoders.TEXTS)) > 0.99999


@pytest.mark.parametrize(("model_type", "pooling"), [("distilbert", "mean"), ("qwen3", "last")])
def test_other_architectures_run_padded_and_say_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model_type: str, pooling: Pooling
) -> None:
    folder = encoders.random_encoder(tmp_path, model_type, pooling=pooling)
    encoder = Encoder.load(folder)
    assert f"no flat path for '{model_type}'" in capsys.readouterr().out
    assert cosine(encoder.encode(encoders.TEXTS, "passage"), encoders.reference(folder, encoders.TEXTS)) > 0.99999
    Encoder.load(folder)
    assert "no flat path" not in capsys.readouterr().out


def test_bfloat16_stays_close(bert: Path) -> None:
    have = Encoder.load(bert, dtype="bfloat16").encode(encoders.TEXTS, "passage")
    assert cosine(have, encoders.reference(bert, encoders.TEXTS)) > 0.999


def test_same_bytes_whatever_the_workers(bert: Path) -> None:
    texts = [f"{text} {index}" for index in range(8) for text in encoders.TEXTS]
    one, again, three = (Encoder.load(bert, workers=workers).encode(texts, "query") for workers in (1, 1, 3))
    assert one.tobytes() == again.tobytes() == three.tobytes()


def test_progress_counts_every_text_and_threads_are_given_back(bert: Path) -> None:
    before, counts = torch.get_num_threads(), list[int]()
    Encoder.load(bert).encode(encoders.TEXTS * 6, "passage", progress=counts.append)
    assert sum(counts) == 6 * len(encoders.TEXTS)
    assert torch.get_num_threads() == before


def test_groups_keep_the_order(xlmr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder.load(xlmr)
    texts = [f"{index} {text}" for index in range(3) for text in encoders.TEXTS]
    whole = encoder.encode(texts, "passage")
    monkeypatch.setattr("graded.retrieval.encoder.GROUP", 7)
    counts = list[int]()
    np.testing.assert_allclose(encoder.encode(texts, "passage", progress=counts.append), whole, atol=2e-6)
    assert sum(counts) == len(texts)


def test_no_texts_give_no_vectors(bert: Path) -> None:
    assert Encoder.load(bert).encode([], "query").shape == (0, 384)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float8"}, "legal: float32, bfloat16"),
        ({"device": "tpu"}, "received 'tpu'"),
        ({"workers": 0}, "workers: received 0"),
    ],
)
def test_illegal_options_name_the_legal_ones(bert: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(ParamError, match=said):
        Encoder.load(bert, **options)  # type: ignore[arg-type]


def test_missing_folder_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="dvc repro encoder"):
        Encoder.load(tmp_path / "none")


def test_changed_weights_are_noticed(xlmr: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(xlmr, tmp_path / "changed"))
    damaged = bytearray((folder / "model.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "model.safetensors").write_bytes(damaged)
    with pytest.raises(DataError, match=r"model\.safetensors has sha256 .* expected"):
        Encoder.load(folder)


def test_truncated_weights_are_one_line(xlmr: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(xlmr, tmp_path / "cut"))
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    description.write(folder, description.read(folder))
    with pytest.raises(DataError, match="the weights do not open") as raised:
        Encoder.load(folder)
    assert "\n" not in str(raised.value)


def test_length_beyond_the_position_table_is_refused(tmp_path: Path) -> None:
    folder = encoders.random_encoder(tmp_path, "xlm-roberta", max_length=130)
    with pytest.raises(DataError, match="positions for 128 tokens"):
        Encoder.load(folder)
