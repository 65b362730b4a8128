"""The objectives' identities, their pulls, and their gradients in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graded.errors import ParamError
from graded.retrieval.training.objectives import (
    MULTIPLE,
    OBJECTIVES,
    Masks,
    bixse,
    infonce,
    jointlh,
    jointlh_sum,
    lsepair,
    objective,
    summarglh,
)

CONTRASTIVE = sorted(set(OBJECTIVES) - {"bixse"})


def problem(seed: int, rows: int, columns: int, most: int) -> tuple[torch.Tensor, torch.Tensor, Masks]:
    """Random logits with 1 to ``most`` positives a row and some columns masked."""
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(0, 3, (rows, columns)))
    positive = np.zeros((rows, columns), bool)
    for row in range(rows):
        positive[row, rng.choice(columns, rng.integers(1, most + 1), replace=False)] = True
    allowed = positive | (rng.random((rows, columns)) < 0.7)
    targets = np.where(positive, rng.random((rows, columns)), 0.0)
    return scores, torch.from_numpy(targets), Masks(torch.from_numpy(positive), torch.from_numpy(allowed))


SIZES = {"seed": st.integers(0, 10_000), "rows": st.integers(1, 5), "columns": st.integers(3, 9)}


@settings(max_examples=40, deadline=None)
@given(**SIZES)
def test_with_one_positive_all_are_infonce(seed: int, rows: int, columns: int) -> None:
    case = problem(seed, rows, columns, 1)
    for name in CONTRASTIVE:
        torch.testing.assert_close(OBJECTIVES[name](*case), infonce(*case), rtol=1e-10, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(**SIZES)
def test_jointlh_bounds_summarglh(seed: int, rows: int, columns: int) -> None:
    case = problem(seed, rows, columns, 3)
    count = case[2].positive.sum(1)
    assert (jointlh(*case) >= summarglh(*case) + count.log() - 1e-9).all()
    torch.testing.assert_close(jointlh_sum(*case), jointlh(*case) * count)


@settings(max_examples=40, deadline=None)
@given(**SIZES)
def test_formulas_written_out(seed: int, rows: int, columns: int) -> None:
    scores, targets, masks = problem(seed, rows, columns, 3)
    for row in range(rows):
        z, y, own = scores[row].tolist(), targets[row].tolist(), masks.positive[row].tolist()
        seen = masks.allowed[row].tolist()
        positives = [math.exp(value) for value, is_own in zip(z, own, strict=True) if is_own]
        everything = [math.exp(value) for value, is_seen in zip(z, seen, strict=True) if is_seen]
        negatives = [math.exp(v) for v, is_own, is_seen in zip(z, own, seen, strict=True) if is_seen and not is_own]
        pulls = [math.log(sum(everything) / value) for value in positives]
        assert jointlh(scores, targets, masks)[row].item() == pytest.approx(sum(pulls) / len(pulls))
        assert summarglh(scores, targets, masks)[row].item() == pytest.approx(
            math.log(sum(everything) / sum(positives)), abs=1e-12
        )
        pairs = sum(negative / value for negative in negatives for value in positives)
        assert lsepair(scores, targets, masks)[row].item() == pytest.approx(math.log1p(pairs), abs=1e-12)
        entropy = [
            -(t * math.log(1 / (1 + math.exp(-v))) + (1 - t) * math.log(1 - 1 / (1 + math.exp(-v))))
            for v, t, is_seen in zip(z, y, seen, strict=True)
            if is_seen
        ]
        assert bixse(scores, targets, masks)[row].item() == pytest.approx(sum(entropy))


def test_who_pulls_each_positive() -> None:
    """summarglh pulls the easiest, lsepair the hardest, jointlh drives each share of the softmax to 1 / m."""
    scores, targets, masks = problem(3, 1, 6, 1)
    masks = Masks(torch.tensor([[True, True, True, False, False, False]]), torch.ones(1, 6, dtype=torch.bool))

    def pull(name: str) -> torch.Tensor:
        leaf = scores.clone().requires_grad_()
        OBJECTIVES[name](leaf, targets, masks).sum().backward()
        assert leaf.grad is not None
        return -leaf.grad[0, :3]

    own = scores[0, :3]
    share = scores[0].softmax(0)[:3]
    easy, hard = pull("summarglh"), pull("lsepair")
    torch.testing.assert_close(easy / easy.sum(), own.softmax(0))
    torch.testing.assert_close(hard / hard.sum(), (-own).softmax(0))
    torch.testing.assert_close(pull("jointlh"), 1 / 3 - share)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_gradients_in_double_precision(name: str) -> None:
    scores, targets, masks = problem(11, 4, 7, 3 if name in MULTIPLE or name == "bixse" else 1)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: OBJECTIVES[name](z, targets, masks), (scores,))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_masked_passages_get_no_gradient_and_extreme_scores_stay_finite(name: str) -> None:
    scores, targets, masks = problem(5, 4, 8, 1)
    leaf = (scores * 400).float().requires_grad_()
    loss = OBJECTIVES[name](leaf, targets.float(), masks)
    loss.sum().backward()
    assert leaf.grad is not None
    assert torch.isfinite(loss).all()
    assert torch.isfinite(leaf.grad).all()
    assert (leaf.grad[~masks.allowed] == 0).all()


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_row_without_positive_or_without_negative_is_zero(name: str) -> None:
    scores = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    positive = torch.tensor([[False, False, False], [True, False, False]])
    masks = Masks(positive, torch.tensor([[True, True, True], [True, False, False]]))
    loss = OBJECTIVES[name](scores, torch.zeros(2, 3), masks)
    torch.testing.assert_close(loss, torch.zeros(2, dtype=torch.float64))
    loss.sum().backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(ParamError, match=r"received 'infonc' \(did you mean 'infonce'\?\); legal: infonce, bixse"):
        objective("infonc")
