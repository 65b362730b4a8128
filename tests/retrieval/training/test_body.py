"""Architectures without a flat path: dropout, recomputed layers and lengths through transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from graded.errors import ParamError
from graded.retrieval.training import body
from graded.retrieval.training.settings import Settings
from tests import encoders

TOKENS = torch.tensor([0, 9, 30, 31, 2, 0, 44, 2], dtype=torch.int32)


@pytest.fixture(scope="module")
def distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer DistilBERT, whose configuration says 0.1 of two dropouts under names of its own."""
    return encoders.random_encoder(tmp_path_factory.mktemp("distil") / "encoder", "distilbert")


def loaded(folder: Path, **train: Any) -> Any:
    return body.load(Settings.model_validate(train), folder, 3)


def test_dropout_is_what_the_params_say_and_the_saved_configuration_is_the_encoders(distilbert: Path) -> None:
    plain, none, more = (loaded(distilbert, dropout=value) for value in (None, 0.0, 0.5))
    for model, rate in ((plain, 0.1), (none, 0.0), (more, 0.5)):
        rates = {module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
        assert rates == {rate}
        assert body.drops(model) is (rate > 0)
        model.train()
    first, second = (none(TOKENS, [5, 3]) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(plain(TOKENS, [5, 3]), plain(TOKENS, [5, 3]))
    torch.testing.assert_close(plain.eval()(TOKENS, [5, 3]), first)
    saved = body.merged(Settings(dropout=0.5), more, distilbert).body.config.to_dict()
    assert saved == AutoModel.from_pretrained(str(distilbert)).config.to_dict()
    assert json.loads((distilbert / "config.json").read_text(encoding="utf-8"))["dropout"] == saved["dropout"] == 0.1


def test_recomputed_layers_give_the_same_gradient(distilbert: Path) -> None:
    grads, calls = [], []
    for recompute in (False, True):
        model = loaded(distilbert, dropout=0.0, gradient_checkpointing=recompute).train()
        count = [0]

        def seen(*_: Any, count: list[int] = count) -> None:
            count[0] += 1

        model.body.transformer.layer[0].attention.register_forward_pre_hook(seen)
        model(TOKENS, [5, 3]).square().sum().backward()
        grads.append(model.word_embeddings.weight.grad)
        calls.append(count[0])
    assert calls == [1, 2]
    torch.testing.assert_close(*grads)


def test_what_an_architecture_cannot_do_is_one_line(distilbert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import DistilBertModel

    monkeypatch.setattr(DistilBertModel, "supports_gradient_checkpointing", False)
    with pytest.raises(ParamError, match=r"train\.gradient_checkpointing: received true; distilbert cannot recompute"):
        loaded(distilbert, gradient_checkpointing=True)
    monkeypatch.setattr(body, "DROPOUTS", ())
    with pytest.raises(ParamError, match=r"train\.dropout: received 0\.2; distilbert has none; legal: 0, or null"):
        loaded(distilbert, dropout=0.2)


def test_a_length_beyond_the_position_table_is_one_line(distilbert: Path, layout: Path) -> None:
    for folder, limit in ((distilbert, 130), (layout / "data" / "encoder", 128)):
        model = loaded(folder)
        body.check_length(model, limit)
        with pytest.raises(ParamError, match=rf"train.max_length: received {limit + 1}; .* give 3 to {limit}, or null"):
            body.check_length(model, limit + 1)
