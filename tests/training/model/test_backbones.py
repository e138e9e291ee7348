from __future__ import annotations

import pytest
import torch

from training.model.backbones import Backbone
from training.model.weights import find_architecture, untrained_backbone
from training.runtime.environment import JobError


def backbone_of(name: str, *, image_size: int = 64) -> Backbone:
    torch.manual_seed(0)
    return untrained_backbone(name, image_size=image_size)


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("resnet18", [4 * 256, 512]),
        ("efficientnet_b0", [4 * 112, 1280]),
        ("efficientnet_lite0", [4 * 112, 1280]),
        ("mobilenet_v2", [4 * 96, 1280]),
        ("densenet121", [4 * 1024, 1024]),
        ("swin_t", [4 * 384, 768]),
    ],
)
def test_features_are_the_last_layers_input_and_the_quarters_one_resolution_earlier(
    name: str, levels: list[int]
) -> None:
    backbone = backbone_of(name)
    images = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    assert [level.shape[1] for level in backbone.levels(images)] == levels
    assert backbone(images).shape == (2, sum(levels))
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_a_vision_transformer_has_one_level() -> None:
    backbone = backbone_of("vit_b_32", image_size=224)
    assert [level.shape[1] for level in backbone.levels(torch.zeros(1, 224, 224, 3, dtype=torch.uint8))] == [768]


def test_the_middle_level_knows_where_a_thing_is() -> None:
    images = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    images[0, :32, :32] = 255
    images[1, 32:, 32:] = 255
    middle = backbone_of("resnet18").levels(images)[0].view(2, 4, 256)
    assert torch.linalg.vector_norm(middle[0, 0] - middle[1, 0]) > 0.1 * torch.linalg.vector_norm(middle[0, 0])


def test_normalisation_is_inside() -> None:
    backbone = backbone_of("resnet18")
    statistics = find_architecture("resnet18").pretraining.statistics
    images = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    mean, std = torch.tensor(statistics.mean), torch.tensor(statistics.std)
    normalised = ((images / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.levels(images)[-1], backbone.network(normalised), rtol=1e-4, atol=1e-4)


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(JobError, match=r"resnet49.*resnet50"):
        find_architecture("resnet49")


def test_a_network_without_a_linear_layer_at_its_end_is_refused() -> None:
    with pytest.raises(JobError, match=r"squeezenet1_1.*linear layer.*resnet50"):
        backbone_of("squeezenet1_1")


@pytest.mark.parametrize(("name", "native"), [("vit_b_32", 224), ("timm/test_vit", 160)])
def test_an_image_size_the_network_does_not_take_is_refused(name: str, native: int) -> None:
    with pytest.raises(JobError, match=rf"{name}' does not take images of 72 x 72.*training\.image_size to.* {native}"):
        backbone_of(name, image_size=72)
