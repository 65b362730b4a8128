"""The embedding table's AdamW against torch's on the whole table."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graded.retrieval.training import table_adamw
from graded.retrieval.training.table_adamw import TableAdamW, untouched


def both(
    decay: float, steps: int, *, rows: int = 40, width: int = 24, reading: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ours, torch's) after ``steps`` sparse gradients; row 0 is read once, row 1 never, the rest at random."""
    torch.manual_seed(0)
    rows, width = 40, 24
    table = torch.randn(rows, width) * 0.05
    whole = torch.nn.Parameter(table.clone())

    def rate(step: int) -> float:
        return 1e-3 * (1 - step / (2 * steps))

    dense = torch.optim.AdamW([whole], weight_decay=decay, fused=True)
    ours = TableAdamW(table, rate, decay)
    for step in range(1, steps + 1):
        ids = 2 + torch.randperm(rows - 2)[:5]
        ids = torch.cat([torch.tensor([0]), ids]) if step == 2 else ids
        gradient = torch.randn(len(ids), width) * 1e-3
        ours.catch_up(ids)
        if reading:  # what a forward pass reads is current
            torch.testing.assert_close(table[ids], whole.detach()[ids], rtol=0, atol=1e-7 if decay else 0)
        whole.grad = torch.zeros_like(whole)
        whole.grad[ids] = gradient
        dense.param_groups[0]["lr"] = rate(step)
        dense.step()
        ours.step(ids, gradient)
    ours.finish()
    return table, whole.detach()


def test_bit_for_bit_while_no_row_waits_longer_than_the_replay() -> None:
    ours, theirs = both(0.0, 150)
    assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_beyond_the_replay_and_with_decay_to_the_last_digits(decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = both(decay, 400)
    torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=1e-9)
    monkeypatch.setattr(table_adamw, "REPLAY", 3)  # the moves that the bound leaves out are no longer small
    short, theirs = both(decay, 60, reading=False)
    assert (short - theirs).abs().max() > 1e-6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_moments_of_rows_that_are_never_read_take_no_memory() -> None:
    """Half a gigabyte of moments; a tenth of it may be there after a step on three rows."""

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    moments = untouched(torch.empty(1, 1).expand(250_000, 512))
    moments[[5, 100_000, 249_999]] += 1.0
    assert (pages() - before) * 4096 < 50e6
    assert float(moments[100_000].sum()) == 512
    assert float(moments[7].sum()) == 0
