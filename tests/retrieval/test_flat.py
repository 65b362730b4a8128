"""FlatModel: gradients, checkpointing, saving, against transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from graded.errors import DataError
from graded.retrieval import description, flat_linear
from graded.retrieval.flat import FlatModel
from graded.retrieval.flat_attention import layout, pool
from graded.retrieval.tokens import Tokenizer, Tokens
from tests import encoders

TEXTS = encoders.TEXTS[:6]


def tokens(folder: Path) -> Tokens:
    """Return the test texts' tokens."""
    return Tokenizer(folder, description.read(folder).max_length)(TEXTS)


@pytest.mark.parametrize(("name", "recompute", "onednn"), [
    ("bert", False, False), ("bert", True, True), ("xlmr", False, True), ("xlmr", True, False),
])  # fmt: skip
def test_gradients_equal_transformers(
    name: str, recompute: bool, onednn: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flat_linear, "mkl_is_slow", lambda: onednn and flat_linear.onednn())
    folder = request.getfixturevalue(name)
    row = tokens(folder)
    model = FlatModel.load(folder, dropout=0.0, gradient_checkpointing=recompute).train()
    have = model(torch.from_numpy(row.ids), row.lengths)
    want, other = encoders.reference(folder, TEXTS, train=True)
    torch.testing.assert_close(have, want, atol=5e-5, rtol=1e-5)
    weight = torch.randn(have.shape, generator=torch.Generator().manual_seed(3))
    (have * weight).sum().backward()
    (want * weight).sum().backward()
    gradients = {key: value.grad for key, value in other.named_parameters() if value.grad is not None}
    mine = {key: value.grad for key, value in model.body.named_parameters() if value.grad is not None}
    assert mine.keys() == gradients.keys()
    total = torch.cat([value.flatten() for value in gradients.values()]).norm()
    apart = torch.cat([(mine[key] - gradients[key]).flatten() for key in mine]).norm()
    assert float(apart / total) < 1e-5


def test_dropout_comes_from_the_configuration_and_can_be_set(xlmr: Path) -> None:
    row = tokens(xlmr)
    ids = torch.from_numpy(row.ids)
    model = FlatModel.load(xlmr).train()
    assert not torch.equal(model(ids, row.lengths), model(ids, row.lengths))
    still = FlatModel.load(xlmr, dropout=0.0).train()
    assert torch.equal(still(ids, row.lengths), still(ids, row.lengths))


def test_weights_are_saved_unchanged(bert: Path, tmp_path: Path) -> None:
    FlatModel.load(bert).save(tmp_path)
    old, new = load_file(bert / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert {key.removeprefix("bert.") for key in old} - {"embeddings.position_ids"} == set(new)
    assert all(torch.equal(new[key], old[key]) for key in new)


def test_weights_that_do_not_fill_the_architecture_are_refused(xlmr: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import save_file

    folder = Path(shutil.copytree(xlmr, tmp_path / "holes"))
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("encoder.layer.1.output.dense.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match="lack 1 tensors"):
        FlatModel.load(folder)


def test_layout_sorts_and_goes_back() -> None:
    lengths = np.array([3, 1, 3, 2])
    where = layout(lengths)
    assert where.runs == [(1, 1), (1, 2), (2, 3)]
    assert where.order is not None
    row = torch.tensor([10, 11, 12, 20, 30, 31, 32, 40, 41])
    assert row[where.order].tolist() == [20, 40, 41, 10, 11, 12, 30, 31, 32]
    hidden = row[where.order].double()[:, None]
    assert pool(hidden, where, "cls").flatten().tolist() == [10, 20, 30, 40]
    assert pool(hidden, where, "last").flatten().tolist() == [12, 20, 32, 41]
    assert pool(hidden, where, "mean").flatten().tolist() == [11, 20, 31, 40.5]
