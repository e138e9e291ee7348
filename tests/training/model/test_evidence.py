"""The parts of a logit by place: by hand on a network of averages, and on those of the libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.training.model.tiny import tiny_backbone, tiny_head
from training.model.backbones import Backbone
from training.model.evidence import find_evidence
from training.model.weights import untrained_backbone


def explained(backbone: Backbone, head: nn.Linear, images: Tensor) -> tuple[Tensor, Tensor]:
    """The evidence and the logits."""
    evidence = find_evidence(backbone, head)
    assert evidence is not None
    with torch.inference_mode(), evidence.watching() as maps:
        logits = head(backbone(images))
        return evidence(maps, weight=head.weight, likeliest=logits.argmax(dim=1), mirrored=False), logits


def sums(logits: Tensor, head: nn.Linear) -> Tensor:
    """What the evidence has to add up to: likeliest logit minus mean logit, both without biases."""
    without = logits - head.bias
    return without.gather(1, logits.argmax(dim=1, keepdim=True))[:, 0] - without.mean(dim=1)


def photos(size: int, number: int = 3) -> Tensor:
    return torch.randint(0, 256, (number, size, size, 3), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def by_hand(backbone: Backbone, head: nn.Linear, image: Tensor) -> NDArray[np.float64]:
    """Place by place, for a middle map of 4 x 4 and a last map of 2 x 2."""
    with torch.inference_mode():
        pixels = image[None].permute(0, 3, 1, 2).float() * backbone.scale + backbone.shift
        middle = backbone.network.get_submodule("middle")(pixels)[0].numpy()
        last = backbone.network.get_submodule("last")(torch.from_numpy(middle)[None])[0].numpy()
        best = int(head(backbone(image[None])).argmax())
    weight = head.weight.detach().numpy().astype(np.float64)
    against = weight[best] - weight.mean(axis=0)
    channels = len(middle)
    found = np.zeros((2, 2))
    for row in range(2):
        for column in range(2):
            found[row, column] += sum(against[4 * channels :] * last[:, row, column]) / 4
            quarter = 2 * row + column
            of_quarter = against[quarter * channels : (quarter + 1) * channels]
            for down in range(2):
                for right in range(2):
                    found[row, column] += sum(of_quarter * middle[:, 2 * row + down, 2 * column + right]) / 4
    return found


def test_both_levels_are_what_they_are_by_hand() -> None:
    backbone, images = tiny_backbone(16), photos(16)
    head = tiny_head(backbone)
    evidence, _ = explained(backbone, head, images)
    assert evidence.shape == (3, 2, 2)
    for found, image in zip(evidence, images, strict=True):
        np.testing.assert_allclose(found.numpy(), by_hand(backbone, head, image), atol=1e-5)


@pytest.mark.parametrize("size", [16, 20, 24, 36, 44])
def test_evidence_adds_up_to_the_logit_whatever_the_sides(size: int) -> None:
    """Of 20 pixels, the middle map has 5 x 5 places, whose quarters overlap, and the last one 3 x 3."""
    backbone, images = tiny_backbone(size), photos(size)
    head = tiny_head(backbone)
    evidence, logits = explained(backbone, head, images)
    torch.testing.assert_close(evidence.sum(dim=(1, 2)), sums(logits, head), atol=1e-4, rtol=1e-4)
    assert sums(logits, head).abs().min() > 0.01


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "mobilenet_v2", "densenet121", "swin_t"])
def test_evidence_of_the_libraries_networks_adds_up_to_the_logit(name: str) -> None:
    torch.manual_seed(0)
    backbone = untrained_backbone(name, image_size=64)
    images = photos(64)
    with torch.inference_mode():
        features = backbone(images)
    head = nn.Linear(features.shape[1], 5).requires_grad_(False)
    head.weight *= 1 / features.abs().mean()  # random weights may make tiny features
    evidence, logits = explained(backbone, head, images)
    assert evidence.shape == (3, 2, 2)
    expected = sums(logits, head)
    torch.testing.assert_close(evidence.sum(dim=(1, 2)), expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


@pytest.mark.parametrize(("name", "size"), [("vit_b_32", 64), ("mobilenet_v3_small", 64), ("convnext_tiny", 64)])
def test_networks_whose_features_are_no_averages_of_a_map_have_no_evidence(name: str, size: int) -> None:
    """A class token; a layer after the pooling; a normalisation after it."""
    torch.manual_seed(0)
    backbone = untrained_backbone(name, image_size=size)
    width = sum(backbone.level_sizes(image_size=size))
    assert find_evidence(backbone, nn.Linear(width, 2)) is None


def test_a_head_that_is_not_linear_has_no_evidence() -> None:
    backbone = tiny_backbone(16)
    head = tiny_head(backbone)
    assert find_evidence(backbone, head) is not None
    assert find_evidence(backbone, nn.Sequential(head, nn.ReLU())) is None


def test_a_map_of_a_single_place_tells_nothing() -> None:
    backbone = tiny_backbone(8)
    assert find_evidence(backbone, tiny_head(backbone)) is None


def test_the_heat_is_where_a_bright_thing_is() -> None:
    backbone = tiny_backbone(32)
    head = tiny_head(backbone)
    images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    images[0, 8:16, 16:24] = 250  # the last map has 4 x 4 places of 8 pixels
    images[1, 24:, :8] = 250
    evidence, _ = explained(backbone, head, images)
    hot = [divmod(int(values.abs().argmax()), 4) for values in evidence]
    assert hot == [(1, 2), (3, 0)]
    elsewhere = evidence.clone()
    elsewhere[0, 1, 2] = elsewhere[1, 3, 0] = 0
    assert evidence.abs().max() > 0.01
    torch.testing.assert_close(elsewhere, torch.zeros(2, 4, 4), atol=1e-6, rtol=0)


def test_nothing_of_it_stays_in_the_network() -> None:
    backbone = tiny_backbone(16)
    head = tiny_head(backbone)
    before = set(backbone.state_dict())
    explained(backbone, head, photos(16))
    assert set(backbone.state_dict()) == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.modules())
