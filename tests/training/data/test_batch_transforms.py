from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import contract
from training.data.transforms import BatchTransforms, Mix, TransformedBatch, draw_mix

EVERY = torch.arange(4)


def pictures() -> Tensor:
    """Four pictures of one value each: 0, 10, 20 and 30."""
    return (torch.arange(4, dtype=torch.uint8) * 10).view(4, 1, 1, 1).expand(4, 16, 16, 3).contiguous()


def mixed(**alphas: float) -> Mix:
    mix = draw_mix(pictures(), **{"mixup": 0.0, "cutmix": 0.0, **alphas}, rng=np.random.default_rng(3))
    assert mix is not None
    return mix


def test_nothing_is_mixed_by_default() -> None:
    assert draw_mix(pictures(), mixup=0, cutmix=0, rng=np.random.default_rng(0)) is None


def test_mixup_adds_two_images_by_the_share_of_their_labels() -> None:
    mix = mixed(mixup=0.4)
    seen = mix.images(pictures(), EVERY)
    expected = mix.share * 10 * EVERY + (1 - mix.share) * 10 * mix.partner
    torch.testing.assert_close(seen[:, 5, 5, 0], expected.float())
    assert seen.float().std(dim=(1, 2)).max() < 1e-4


def test_cutmix_pastes_as_much_as_it_takes_from_the_label() -> None:
    before = pictures()
    mix = mixed(cutmix=1.0)
    seen = mix.images(before, EVERY)
    assert seen.dtype == torch.uint8
    own = (seen[..., 0] == (10 * EVERY).view(4, 1, 1)).float().mean(dim=(1, 2))
    moved = mix.partner != EVERY
    torch.testing.assert_close(own[moved], torch.full((int(moved.sum()),), mix.share))
    assert torch.equal(before, pictures())


def test_parts_of_a_batch_are_mixed_as_the_whole() -> None:
    for mix in (mixed(mixup=0.4), mixed(cutmix=1.0)):
        whole = mix.images(pictures(), EVERY)
        parts = torch.cat([mix.images(pictures(), part) for part in EVERY.tensor_split(3)])
        assert torch.equal(whole, parts)


def test_a_mixed_images_loss_counts_both_labels() -> None:
    mix = Mix(partner=torch.tensor([1, 0]), share=0.75, box=None)
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    losses = mix.losses(logits, torch.tensor([0, 1]), torch.arange(2), label_smoothing=0.0)
    scores = logits.log_softmax(dim=1)
    expected = torch.stack([-0.75 * scores[0, 0] - 0.25 * scores[0, 1], -0.75 * scores[1, 1] - 0.25 * scores[1, 0]])
    torch.testing.assert_close(losses, expected)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_class_that_weighs_twice_has_twice_the_loss(mixup: float) -> None:
    batch = changed(pictures(), mixup=mixup)
    logits = torch.tensor([[3.0, 1.0]] * 4)
    plain, weighted = (
        batch.losses(logits, EVERY, label_smoothing=0.0, class_weights=weights)
        for weights in (None, torch.tensor([2.0, 1.0]))
    )
    torch.testing.assert_close(weighted, 2 * plain)


def changed(images: Tensor, **values: float | int) -> TransformedBatch:
    transforms = BatchTransforms(contract.Hyperparameters(mode="finetune", **values))  # type: ignore[arg-type]
    return transforms(images, torch.zeros(len(images), dtype=torch.int64), rng=np.random.default_rng(3))


def test_a_batch_is_left_as_it_is_where_nothing_is_asked_for() -> None:
    batch = changed(pictures(), mixup=0.0)
    assert torch.equal(batch.part(EVERY), pictures())
    losses = batch.losses(torch.tensor([[3.0, 1.0]] * 4), EVERY, label_smoothing=0.0)
    torch.testing.assert_close(losses, torch.full((4,), float(np.log1p(np.exp(-2)))))
