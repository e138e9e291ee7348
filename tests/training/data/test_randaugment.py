"""RandAugment: every operation, and that the seed alone decides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from tests.training.conftest import photo
from training.data.randaugment import OPERATIONS, randaugment
from training.data.transforms import ViewMaker
from training.preprocess import Preprocessing


def picture() -> Tensor:
    return torch.randint(0, 255, (32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("strength", [-1.0, 0.3, 1.0])
def test_every_operation_gives_a_picture_of_the_same_kind(name: str, strength: float) -> None:
    image = picture().permute(2, 0, 1)
    changed = OPERATIONS[name](image, strength)
    assert (changed.dtype, changed.shape) == (torch.uint8, image.shape)
    assert torch.equal(image, picture().permute(2, 0, 1)), "the photo itself is left alone"
    # autocontrast leaves a picture that has black and white already as it is
    assert torch.equal(changed, image) == (name in ("identity", "autocontrast"))


@pytest.mark.parametrize("name", ["shear_x", "translate_y", "rotate", "brightness", "color", "contrast", "posterize"])
def test_an_operation_without_strength_changes_nothing(name: str) -> None:
    image = picture().permute(2, 0, 1)
    assert torch.equal(OPERATIONS[name](image, 0.0), image)


def test_the_seed_alone_decides() -> None:
    first = randaugment(picture(), magnitude=9, seed="0/1/a.jpg")
    torch.manual_seed(5)
    assert torch.equal(randaugment(picture(), magnitude=9, seed="0/1/a.jpg"), first)
    others = [randaugment(picture(), magnitude=9, seed=f"0/{epoch}/a.jpg") for epoch in range(2, 10)]
    assert sum(not torch.equal(other, first) for other in others) >= 6


def test_the_views_of_fine_tuning_are_the_same_in_every_thread() -> None:
    data = photo((10, 200, 30), seed=1)
    plain = ViewMaker(Preprocessing.usual(32), flip=True)
    views = ViewMaker(Preprocessing.usual(32), flip=True, magnitude=15)
    seeds = [f"seed {number}" for number in range(16)]
    alone = [views.random(data, seed=seed).tobytes() for seed in seeds]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: views.random(data, seed=seed).tobytes(), seeds))
    assert together == alone
    assert sum(view != plain.random(data, seed=seed).tobytes() for view, seed in zip(alone, seeds, strict=True)) >= 12
