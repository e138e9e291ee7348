from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torchvision import models

from training.model.stages import freeze, parameter_groups, set_training, stages
from training.model.weights import find_architecture
from training.runtime.environment import JobError


def network(name: str) -> nn.Module:
    return find_architecture(name).build(image_size=224)


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("resnet18", ["conv1", "bn1", "layer1.0", "layer4.1"]),
        ("mobilenet_v3_small", ["features.0", "features.12"]),
        ("efficientnet_lite0", ["_conv_stem", "_blocks.0", "_blocks.15", "_conv_head"]),
        ("vit_b_16", ["conv_proj", "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_11", "encoder.ln"]),
        ("swin_t", ["features.1.0", "norm"]),
        ("timm/resnet10t", ["bn1", "layer1.0", "layer4.0"]),
        ("timm/mobilenetv4_conv_small", ["conv_stem", "blocks.0", "blocks.4", "conv_head"]),
        ("timm/vit_tiny_patch16_224", ["patch_embed", "blocks.0", "blocks.11", "norm"]),
    ],
)
def test_stages_are_what_people_call_so(name: str, some: list[str]) -> None:
    found = stages(network(name))
    if name != "swin_t":
        assert [stage for stage in found if stage in some] == some
    assert len(found) == len(set(found)) >= 4


def test_every_weight_is_in_exactly_one_group() -> None:
    for name in ("resnet18", "efficientnet_lite0"):
        net = network(name)
        trained = freeze(net, until="")
        groups = parameter_groups(
            net, head=nn.Linear(2, 2), trained=trained, learning_rate=1, backbone_rate=0.1, weight_decay=0.1
        )
        in_groups = [id(parameter) for group in groups for parameter in group["params"]]
        assert len(in_groups) == len(set(in_groups)) == len(list(net.parameters())) + 2


def test_earlier_stages_learn_more_slowly_and_norms_do_not_decay() -> None:
    net = models.resnet18(weights=None)
    head = nn.Linear(4, 2)
    trained = freeze(net, until="layer2")
    groups = parameter_groups(net, head=head, trained=trained, learning_rate=0.5, backbone_rate=0.1, weight_decay=0.01)
    rate_of = {id(parameter): group["peak"] for group in groups for parameter in group["params"]}
    decay_of = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert rate_of[id(head.weight)] == 0.5
    rates = [rate_of[id(net.get_parameter(f"layer{stage}.0.conv1.weight"))] for stage in (2, 3, 4)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(0.005)
    assert rate_of[id(net.fc.weight)] == pytest.approx(0.05)
    assert id(net.layer1[0].conv1.weight) not in rate_of
    assert decay_of[id(net.layer4[0].conv1.weight)] == 0.01
    assert decay_of[id(net.layer4[0].bn1.weight)] == decay_of[id(head.bias)] == 0


def changed_statistics(net: nn.Module) -> set[str]:
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(torch.rand(2, 3, 64, 64))
    return {name for name, value in net.named_buffers() if not torch.equal(value, before[name])}


def test_frozen_stages_keep_their_statistics_and_trained_ones_do_not() -> None:
    net = models.resnet18(weights=None)
    trained = freeze(net, until="layer3.1")
    assert trained[0] == "layer3.1"
    set_training(net, trained=trained, statistics=True)
    changed = changed_statistics(net)
    assert "layer3.1.bn1.running_mean" in changed
    assert "layer4.0.bn1.running_mean" in changed
    assert not {name for name in changed if name.startswith(("bn1", "layer1", "layer2", "layer3.0"))}
    set_training(net, trained=trained, statistics=False)
    assert not changed_statistics(net)
    assert net.training
    assert net.layer3[1].conv1.weight.requires_grad
    assert not net.layer3[0].conv1.weight.requires_grad


def test_an_unknown_stage_is_refused_with_the_list_of_them() -> None:
    with pytest.raises(JobError, match=re.escape("unfreeze_from='layer5' is not a stage of this network")) as caught:
        freeze(models.resnet18(weights=None), until="layer5")
    assert "layer3.1, layer4.0, layer4.1" in str(caught.value)
