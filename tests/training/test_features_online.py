"""Training on cached features is training through the frozen network, to the bit.

Under these conditions: the plain crop, float32, batch norm in eval mode (its running statistics, which are as frozen as
the weights), and batches of the same size, since oneDNN picks its kernels by a batch's shape. With 224-pixel photos and
ResNet or ShuffleNet even the size made no difference where it was tried; with EfficientNet-Lite0, of 2e-12.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import contract
from tests.training.conftest import BACKBONE, IMAGE_SIZE, Workspace
from training import features
from training.embedding.embedder import views_of
from training.embedding.store import StoredFeatures, read_index, read_split
from training.loop.head_loop import fit
from training.model.backbones import Backbone
from training.model.head import new_head
from training.model.weights import load_backbone

BATCH = 12


class OnlineFeatures:
    """Decodes and runs the backbone each time a batch is asked for, as training without cached features does."""

    def __init__(self, backbone: Backbone, *, photos: Path, records: list[contract.ImageRecord], dim: int):
        self.backbone, self.photos, self.records = backbone, photos, records
        self.shape = (1, len(records), dim)
        self.batches = 0

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        _, images = key
        plain = contract.Hyperparameters(image_size=IMAGE_SIZE, views=0)
        pixels = [
            views_of(
                self.records[at],
                photos=self.photos,
                views=1,
                hyperparameters=plain,
                preprocessing=self.backbone.preprocessing,
            )[0]
            for at in images.tolist()
        ]
        self.batches += 1
        with torch.no_grad():
            return cast(NDArray[np.float32], self.backbone(torch.from_numpy(np.stack(pixels))).numpy())


def test_heads_on_cached_features_are_those_of_the_online_way_to_the_bit(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.embedding.embedder.fast_bfloat16", lambda _: False)
    monkeypatch.setattr("training.embedding.embedder.BATCH_PIXELS", BATCH * IMAGE_SIZE**2)
    records = [record for record in workspace.fill(each=20) if record["split"] == "train"]
    workspace.write_weights()
    workspace.start(channels=("dataset", "manifest", "weights"), model="features", views=0)
    features.main()
    folder, index = read_index(workspace.root / "features")
    assert index["precision"] == "float32"
    cached, validation = read_split(folder, "train"), read_split(folder, "validation")
    backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    assert any(isinstance(module, torch.nn.BatchNorm2d) and not module.training for module in backbone.modules())
    online = OnlineFeatures(backbone, photos=workspace.root / "dataset", records=records, dim=index["dim"])
    first = new_head(cached.features, levels=index["levels"], classes=3)
    second = copy.deepcopy(first)
    hyperparameters = contract.Hyperparameters(epochs=3, batch_size=BATCH, learning_rate=0.05)

    epochs = list(fit(first, train=cached, validation=validation, hyperparameters=hyperparameters))
    through_the_network = replace(cached, features=cast(StoredFeatures, online))
    again = list(fit(second, train=through_the_network, validation=validation, hyperparameters=hyperparameters))

    assert online.batches == 3 * len(records) / BATCH
    assert torch.equal(first.linear.weight, second.linear.weight)
    assert torch.equal(first.linear.bias, second.linear.bias)
    assert [epoch.train_loss for epoch in epochs] == [epoch.train_loss for epoch in again]
    assert first.linear.weight.abs().max() > 0
