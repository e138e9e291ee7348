from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.loop.test_head_loop import LEVELS, blobs, trained
from training.model.head import level_factors, new_head


def test_the_served_layer_answers_as_the_trained_head() -> None:
    head, _ = trained()
    features = torch.from_numpy(blobs(50, seed=2).features[0])
    torch.testing.assert_close(head.folded()(features), head(features), rtol=1e-3, atol=1e-3)


def test_a_constant_feature_is_passed_over() -> None:
    head, _ = trained()
    features = torch.from_numpy(blobs(9).features[0])
    changed = features.clone()
    changed[:, 3] = -1e6
    torch.testing.assert_close(head(features), head(changed))


@pytest.mark.parametrize("faint", [1e-5, 1e-3])
def test_a_feature_that_hardly_ever_changes_is_not_amplified(faint: float) -> None:
    """In float32 a dead unit's noise is a deviation, by which the one photo in which it lives was a thousand away."""
    train = blobs(3000)
    features = np.array(train.features, dtype=np.float32)
    features[:, :, 14] = faint * np.random.default_rng(0).standard_normal(features.shape[:2])
    head = new_head(features, levels=LEVELS, classes=3)
    usual = ((torch.from_numpy(features[0]) - head.mean) * head.scale).norm(dim=1).max()
    alive = torch.from_numpy(features[0][:1]).clone()
    alive[0, 14] = 3.0  # as large as the others' values are
    assert ((alive - head.mean) * head.scale).norm() < 50 * usual


def test_every_level_has_the_same_say() -> None:
    train = blobs(3000)
    head = new_head(train.features, levels=LEVELS, classes=3)
    scaled = (torch.from_numpy(train.features[0]) - head.mean) * head.scale
    deep, shallow = scaled[:, 12:].square().sum(), scaled[:, :12].square().sum()
    assert shallow / deep == pytest.approx(11 / 12, rel=0.05)  # one of the 12 is the constant


def test_levels_are_weighed_without_changing_the_length_of_the_scaled_features() -> None:
    train = blobs(3000)
    head = new_head(train.features, levels=LEVELS, classes=3)
    equal = ((torch.from_numpy(train.features[0]) - head.mean) * head.scale)[:, 12:].square().sum()
    torch.testing.assert_close(level_factors(LEVELS, weights=[0.5, 0.5]), torch.ones(16))
    factors = level_factors(LEVELS, weights=[0.0, 1.0])
    assert (factors[:12] == 0).all()
    assert equal * factors[-1] ** 2 == pytest.approx(2 * equal)
    factors = level_factors(LEVELS, weights=[0.5, 1.0])
    assert factors[-1] / factors[0] == pytest.approx(2)
    assert factors[0] ** 2 + factors[-1] ** 2 == pytest.approx(2)
