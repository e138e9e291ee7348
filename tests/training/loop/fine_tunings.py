"""Small fine-tunings: the jobs that tests start, and a training of a tiny network without a job."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

import contract
from tests.training.conftest import Workspace
from training.data.loader import PhotoLoader
from training.data.manifest import read_manifest
from training.loop.finetune_loop import FineTuning
from training.model.backbones import Backbone, Statistics
from training.model.head import Head
from training.model.network import Network
from training.model.stages import freeze
from training.preprocess import Preprocessing
from training.runtime import environment
from training.runtime.distributed import ALONE

__all__ = ["Plain", "found", "start", "start_pretrained", "tuning_of"]


def start(workspace: Workspace, **hyperparameters: Any) -> contract.Hyperparameters:
    """A job with a small network of random weights."""
    values = {"mode": "finetune", "epochs": 3, "batch_size": 12, "learning_rate": 0.01, **hyperparameters}
    workspace.start(channels=("dataset", "manifest", "weights"), **values)
    return environment.hyperparameters()


def start_pretrained(workspace: Workspace, **hyperparameters: Any) -> contract.Hyperparameters:
    """A job with a network that knows photos: batch norm's statistics mean something."""
    values = {"mode": "finetune", "batch_size": 12, "learning_rate": 0.05, "quantize": False, **hyperparameters}
    workspace.start(channels=("dataset", "manifest"), backbone="efficientnet_lite0", image_size=64, **values)
    return environment.hyperparameters()


def found(log: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(contract.metric(name).regex, log, flags=re.MULTILINE)]


class Plain(nn.Module):
    """A network without batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.GELU(), nn.Conv2d(8, 8, 3), nn.GELU())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen: torch.Tensor = self.body(pixels).mean(dim=(2, 3))
        return seen


def tuning_of(
    workspace: Workspace,
    values: contract.Hyperparameters,
    *,
    body: nn.Module,
    batch_size: int = 12,
    parts: int = 5,
    class_weights: torch.Tensor | None = None,
    precision: torch.dtype | None = None,
) -> FineTuning:
    """A fine-tuning of a network with 8 features, `body`, which sees `parts` images at once."""
    # the network
    head = Head(mean=torch.zeros(8), scale=torch.ones(8), classes=3)
    half = Statistics(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    usual = Preprocessing.usual(values.image_size)
    network = Network(backbone=Backbone(network=body, middle=None, statistics=half, preprocessing=usual), head=head)

    # its photos
    manifest = read_manifest(workspace.root / "manifest")
    train, validation = (
        PhotoLoader(
            records=manifest.records[split],
            root=workspace.root / "dataset",
            split=split,
            hyperparameters=values,
            batch_size=batch_size,
            shuffle=split == "train",
            seed=0,
        )
        for split in contract.SPLITS[:2]
    )
    return FineTuning(
        network,
        trained=freeze(body, until=""),
        statistics=True,
        train=train,
        validation=validation,
        hyperparameters=values,
        group=ALONE,
        precision=precision,
        micro_batch=parts,
        class_weights=class_weights,
    )
