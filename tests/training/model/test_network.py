"""The network that is fine-tuned: one answer a photo, also of networks with second classifiers."""

from __future__ import annotations

import pytest
import torch

from training.model.head import Head
from training.model.network import Network
from training.model.weights import untrained_backbone


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_second_classifiers_are_taken_off(name: str) -> None:
    """In training mode, they would answer too, of ImageNet's classes."""
    backbone = untrained_backbone(name, image_size=96)
    features = sum(backbone.level_sizes(image_size=96))
    network = Network(backbone=backbone, head=Head(mean=torch.zeros(features), scale=torch.ones(features), classes=3))
    logits = network.train()(torch.zeros(2, 96, 96, 3, dtype=torch.uint8))
    assert logits.shape == (2, 3)
    assert not [weight for weight, _ in network.named_parameters() if "aux" in weight.lower()]
