from __future__ import annotations

import pytest
import torch

from training.model.averaging import MovingAverage, decay_for


def test_the_moving_average_follows_and_can_be_put_on_and_off() -> None:
    weight = torch.zeros(2)
    average = MovingAverage({"weight": weight, "count": torch.tensor(3)}, decay=0.5)
    weight.fill_(1.0)
    for _ in range(9):
        average.update()
    with average.applied():
        assert weight[0] == pytest.approx(1, abs=0.01)
        assert weight[0] < 1
        kept = weight.clone()
        # what a checkpoint keeps is the same as if the averages were not applied
        assert torch.equal(average.weights["weight"], torch.ones(2))
        assert torch.equal(average.averages["weight"], kept)
    assert torch.equal(weight, torch.ones(2))
    assert torch.equal(average.averages["weight"], kept)
    other = MovingAverage({"weight": torch.zeros(2)}, decay=0.5)
    other.restore(average.state())
    assert other.state()["updates"] == 9


@pytest.mark.parametrize(
    ("largest", "steps", "decay"),
    [
        (0.9998, 250, 0.96),
        (0.9998, 10_000, 0.999),
        (0.9998, 10**6, 0.9998),
        (0.9, 250, 0.9),
        (0.9998, 8, 0.0),
        (0, 9, 0),
    ],
)
def test_an_average_remembers_a_tenth_of_a_training_at_most(largest: float, steps: int, decay: float) -> None:
    assert decay_for(largest, steps=steps) == pytest.approx(decay)
