"""A small exported model, made once for all tests of this folder, which only read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.training.conftest import BACKBONE, IMAGE_SIZE, Workspace
from training.export.onnx_export import export
from training.model.backbones import Backbone
from training.model.classifier import Classifier
from training.model.distance import Distance, fit_distance
from training.model.served import ServedModel
from training.model.weights import load_backbone


def noise(images: int) -> NDArray[np.uint8]:
    return np.random.default_rng(images).integers(0, 255, size=(images, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Exported:
    file: Path
    backbone: Backbone
    head: nn.Linear
    temperature: float
    distance: Distance

    def served(self, *, head: nn.Linear | None = None, average_mirrored: bool = False) -> ServedModel:
        """The model in PyTorch, or one that differs in its head or averages."""
        classifier = Classifier(
            backbone=self.backbone,
            head=head or self.head,
            temperature=self.temperature,
            average_mirrored=average_mirrored,
        )
        return ServedModel(classifier=classifier, distance=self.distance).eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A network with random weights and three classes, in float32."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        workspace = Workspace(root=folder, monkeypatch=patch)
        workspace.write_weights()
        workspace.start(channels=("weights",))
        backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    with torch.inference_mode():
        features = backbone(torch.from_numpy(noise(30))).numpy()
    distance = fit_distance(
        features[np.newaxis], np.arange(30) % 3, levels=backbone.level_sizes(image_size=IMAGE_SIZE), seed=0
    )
    torch.manual_seed(0)
    exported = Exported(folder / "fp32.onnx", backbone, nn.Linear(features.shape[1], 3), 2.0, distance)
    export(exported.served(), exported.file, image_size=IMAGE_SIZE)
    return exported
