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
from training.model.weights import load_backbone


def noise(images: int) -> NDArray[np.uint8]:
    return np.random.default_rng(images).integers(0, 255, size=(images, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Exported:
    file: Path
    backbone: Backbone
    head: nn.Linear
    temperature: float


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
        features = backbone(torch.from_numpy(noise(4)))
    torch.manual_seed(0)
    head = nn.Linear(features.shape[1], 3)
    file = folder / "fp32.onnx"
    export(Classifier(backbone=backbone, head=head, temperature=2.0).eval(), file, image_size=IMAGE_SIZE)
    return Exported(file, backbone, head, 2.0)
