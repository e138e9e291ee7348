"""torchvision's weights by tag, and photos as those weights expect them."""

from __future__ import annotations

import re

import pytest
import torch
from torchvision import models

from tests.training.conftest import Workspace
from training.model.weights import find_architecture, load_backbone, untrained_backbone
from training.preprocess import Preprocessing
from training.runtime.environment import JobError


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "resnet50.IMAGENET1K_V2",
        "efficientnet_b3",
        "swin_v2_t",
        "vit_b_16.IMAGENET1K_SWAG_E2E_V1",
        "vit_h_14",
    ],
)
def test_photos_are_seen_as_the_weights_transforms_have_it(name: str) -> None:
    model, _, tag = name.partition(".")
    weights = models.get_model_weights(model)
    expected = weights[tag or {"vit_h_14": "IMAGENET1K_SWAG_E2E_V1"}.get(model, "IMAGENET1K_V1")].transforms()
    pretraining = find_architecture(name).pretraining
    assert pretraining.statistics.mean == tuple(expected.mean)
    assert pretraining.statistics.std == tuple(expected.std)
    assert pretraining.preprocessing(expected.crop_size[0]) == Preprocessing(
        image_size=expected.crop_size[0], resize=expected.resize_size[0], interpolation=expected.interpolation.value
    )


def test_another_image_size_sees_the_same_part_of_the_photo() -> None:
    name = "resnet50.imagenet1k_v2"  # 232 to 224, bilinear
    assert untrained_backbone(name, image_size=112).preprocessing == Preprocessing(
        image_size=112, resize=116, interpolation="bilinear"
    )


def test_every_network_can_be_named_without_a_tag() -> None:
    for name in models.list_models(module=models):
        for frozen in (True, False):
            assert find_architecture(name, frozen=frozen).pretraining.resize >= 224


def test_unknown_weights_are_refused_with_those_there_are() -> None:
    refusal = "no weights 'IMAGENET1K_V3'; set training.backbone to resnet50 and a dot and one of IMAGENET1K_V1, IMAGEN"
    with pytest.raises(JobError, match=re.escape(refusal)):
        find_architecture("resnet50.IMAGENET1K_V3")
    with pytest.raises(JobError, match=r"one file of weights; leave the tag \.v1 out"):
        find_architecture("efficientnet_lite0.v1")


def test_a_vision_transformers_positions_are_resampled_to_the_image_size(workspace: Workspace) -> None:
    file = workspace.folder("weights") / "vit.pth"
    torch.manual_seed(0)
    state = models.vit_b_32(weights=None).state_dict()  # 7 x 7 patches of 32 pixels
    smooth = torch.linspace(0, 1, 49).view(1, 49, 1).expand(1, 49, 768)
    state["encoder.pos_embedding"] = torch.cat([torch.full((1, 1, 768), 5.0), smooth], dim=1)
    torch.save(state, file)
    workspace.start(channels=("weights",))
    (small, of_small), (native, of_native) = (load_backbone("vit_b_32", image_size=size) for size in (96, 224))
    positions = small.state_dict()["network.encoder.pos_embedding"]
    assert positions.shape == (1, 10, 768)
    assert (positions[0, 0] == 5).all()
    assert positions[0, 1, 0] < 0.2 < 0.8 < positions[0, -1, 0]
    torch.testing.assert_close(native.state_dict()["network.encoder.pos_embedding"], state["encoder.pos_embedding"])
    assert of_small == of_native


def test_densenets_hub_files_are_read_under_their_old_names(workspace: Workspace) -> None:
    state = models.densenet121(weights=None).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): value for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, workspace.folder("weights") / "densenet.pth")
    workspace.start(channels=("weights",))
    backbone, _ = load_backbone("densenet121", image_size=64)
    name = "features.denseblock1.denselayer1.conv2.weight"
    torch.testing.assert_close(backbone.state_dict()[f"network.{name}"], state[name])


def test_inceptions_own_statistics_are_applied_to_weights_from_a_file(workspace: Workspace) -> None:
    torch.save(
        models.inception_v3(weights=None, init_weights=False).state_dict(), workspace.folder("weights") / "i.pth"
    )
    workspace.start(channels=("weights",))
    assert load_backbone("inception_v3", image_size=96)[0].network.transform_input


def test_a_network_that_asks_for_versions_is_loaded_with_and_without_them() -> None:
    """MNASNet's first form had another stem; a safetensors file says nothing of it."""
    architecture = find_architecture("mnasnet0_5")
    state = architecture.build(image_size=64).state_dict()
    for given in (state, dict(state)):
        network, _ = architecture.load(given, origin="weights", image_size=64)
        for key, value in network.state_dict().items():
            if not key.startswith("classifier."):
                assert torch.equal(value, state[key]), key
