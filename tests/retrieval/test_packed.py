"""PackedModel computes what FlatModel does, in float32 and bfloat16, with oneDNN and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graded.retrieval import description, flat_linear
from graded.retrieval.flat import FlatModel
from graded.retrieval.flat_packed import PackedModel
from graded.retrieval.tokens import Tokenizer
from tests import encoders


def both(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vectors of the packed and of the plain model, of unit length."""
    row = Tokenizer(folder, description.read(folder).max_length)(encoders.TEXTS)
    model = FlatModel.load(folder)
    with torch.inference_mode():
        want = model(torch.from_numpy(row.ids), row.lengths)
        have = PackedModel(model, dtype)(torch.from_numpy(row.ids), row.lengths)
    assert have.dtype == torch.float32
    return torch.nn.functional.normalize(have, dim=1), torch.nn.functional.normalize(want, dim=1)


@pytest.mark.parametrize("name", ["bert", "xlmr"])
def test_packed_equals_flat(name: str, request: pytest.FixtureRequest) -> None:
    have, want = both(request.getfixturevalue(name))
    torch.testing.assert_close(have, want, atol=5e-6, rtol=0)


@pytest.mark.parametrize("name", ["bert", "xlmr"])
def test_bfloat16_stays_close(name: str, request: pytest.FixtureRequest) -> None:
    have, want = both(request.getfixturevalue(name), torch.bfloat16)
    assert float((have * want).sum(1).min()) > 0.999
    assert not torch.equal(have, want)


def test_without_onednn_the_plain_product_is_used(xlmr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_linear, "onednn", lambda: False)
    have, want = both(xlmr)
    torch.testing.assert_close(have, want, atol=5e-6, rtol=0)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
def test_activations(activation: str, tmp_path: Path) -> None:
    have, want = both(encoders.random_encoder(tmp_path, "bert", hidden_act=activation))
    torch.testing.assert_close(have, want, atol=5e-6, rtol=0)


def test_onednn_is_used_where_it_works() -> None:
    linear = flat_linear.Linear(torch.ones(3, 2), torch.zeros(3), 4)
    assert (linear.packed is not None) == flat_linear.onednn()
    assert linear(torch.ones(4, 2)).tolist() == [[2.0] * 3] * 4
