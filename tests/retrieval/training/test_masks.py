"""False negatives: by query id, passage id and text; never a row's own passages."""

from __future__ import annotations

import torch

from graded.retrieval.training.masks import Askers, Offered, build


def case() -> tuple[Askers, Offered]:
    """Rows 0 to 3: the same query twice (0, 1), one whose text equals it (2), an unrelated one (3)."""
    asked = Askers(
        row=torch.tensor([0, 1, 2, 3]),
        query=torch.tensor([10, 10, 11, 12]),
        query_text=torch.tensor([90, 90, 90, 92]),
        known=torch.tensor([[100, 101], [100, 101], [102, 0], [103, 0]]),
        known_text=torch.tensor([[200, 201], [200, 201], [202, 0], [203, 0]]),
    )
    offered = Offered(
        row=torch.tensor([0, 1, 2, 3, 3, 3, 1]),
        query=torch.tensor([10, 10, 11, 12, 12, 12, 10]),
        query_text=torch.tensor([90, 90, 90, 92, 92, 92, 90]),
        passage=torch.tensor([100, 101, 102, 103, 101, 999, 555]),
        passage_text=torch.tensor([200, 201, 202, 203, 777, 202, 556]),
        positive=torch.tensor([True, True, True, True, False, False, False]),
        target=torch.tensor([1.0, 2 / 3, 1.0, 1.0, 0.0, 0.0, 0.0]),
    )
    return asked, offered


def test_known_relevant_passages_are_masked_and_own_ones_never() -> None:
    asked, offered = case()
    targets, masks = build(asked, offered, mask=True)
    expected = [
        [1, 0, 0, 1, 0, 1, 1],  # column 1: its other positive; 2: same query text; 4: a known positive's id
        [0, 1, 0, 1, 0, 1, 1],  # 6: its own explicit negative
        [0, 0, 1, 1, 1, 0, 1],  # 5: the text of its positive under another id
        [1, 1, 1, 1, 1, 1, 1],
    ]
    assert masks.allowed.int().tolist() == expected
    assert masks.positive.nonzero().tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert targets[1].tolist() == [0, offered.target[1].item(), 0, 0, 0, 0, 0]


def test_without_masking_everything_else_is_a_negative() -> None:
    _, masks = build(*case(), mask=False)
    assert masks.allowed.all()
