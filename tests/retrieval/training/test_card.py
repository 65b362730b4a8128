"""What the card says of tau: the line between positives and the rest, or (under BiXSE) nothing of the kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from graded.retrieval import description
from graded.retrieval.training import card, setup
from graded.retrieval.training.settings import Settings
from tests import training


@pytest.mark.parametrize("objective", ["infonce", "bixse", "jointlh"])
def test_the_card_the_pairs_and_what_was_learned(layout: Path, objective: str) -> None:
    made = training.trainer(layout, objective=objective, steps=2)
    shown: list[int] = []
    made.start()
    made.run(0, lambda event: shown.append(event.pairs))
    assert sum(shown) == made.shown(2)
    assert (sum(shown) > made.plan.shown(2)) is (objective == "jointlh")
    record = description.read(layout / "data" / "encoder")
    text = card.render(setup.facts(Settings(objective=objective), record, made.source, 2, 2, "a judge"))
    learned = made.head.learned()
    if objective == "bixse":
        assert "with the target grade / 3; tau = 2 only counts the positives below" in text
        assert "A pair is a positive" not in text
        assert learned is not None
        assert learned["scale"] == pytest.approx(10, abs=0.1)
        assert learned["bias"] == made.head.bias.item() != 0
    else:
        assert "A pair is a positive where its grade is at least tau = 2." in text
        assert learned is None
        assert "bixse.json" not in text
