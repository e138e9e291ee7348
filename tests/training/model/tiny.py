"""A network small enough to calculate by hand: a middle map of a quarter of the side, a last one of an eighth."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from training.model.architecture import Statistics
from training.model.backbones import Backbone
from training.preprocess import Preprocessing


def tiny_backbone(size: int) -> Backbone:
    """Six channels in the middle, seven at the end; black is zero, and zero stays zero."""
    torch.manual_seed(0)
    layers = OrderedDict(
        middle=nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.ReLU(), nn.AvgPool2d(4, ceil_mode=True)),
        last=nn.Sequential(nn.Conv2d(6, 7, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
    )
    network = nn.Sequential(layers).eval().requires_grad_(False)
    return Backbone(
        network=network,
        middle=layers["middle"],
        statistics=Statistics(mean=(0, 0, 0), std=(1, 1, 1)),
        preprocessing=Preprocessing(image_size=size, resize=size, interpolation="bilinear"),
    ).eval()


def tiny_head(backbone: Backbone, *, classes: int = 3) -> nn.Linear:
    """Random weights, as one layer."""
    torch.manual_seed(1)
    width = sum(backbone.level_sizes(image_size=backbone.preprocessing.image_size))
    head = nn.Linear(width, classes)
    with torch.no_grad():
        head.weight *= 10
    return head.requires_grad_(False)
