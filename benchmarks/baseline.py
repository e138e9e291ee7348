"""The baseline: the usual script for transfer learning.

Every trial opens every photo with Pillow, applies torchvision's first transforms, loads float32 batches, runs the whole
network in float32 and NCHW, and trains its last layer with Adam. Then it does nearly the same with the validation
photos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import contract

__all__ = [
    "BASELINE",
    "MEAN",
    "STD",
    "TRAIN_TRANSFORM",
    "VALIDATION_TRANSFORM",
    "BaselinePhotos",
    "train_epoch",
    "validate",
]

BASELINE = "the baseline"
"""Its name among the peers of a result."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, as every torchvision model expects them."""

TRAIN_TRANSFORM = transforms.Compose(
    [
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)
VALIDATION_TRANSFORM = transforms.Compose(
    [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
)


class BaselinePhotos(Dataset[tuple[torch.Tensor, int]]):
    """Photos and labels as torchvision's ImageFolder gives them."""

    def __init__(self, root: Path, records: list[contract.ImageRecord], transform: transforms.Compose):
        self.root, self.records, self.transform = root, records, transform

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        record = self.records[index]
        with Image.open(self.root / record["path"]) as image:
            pixels: torch.Tensor = self.transform(image.convert("RGB"))
        return pixels, record["label"]


def train_epoch(
    network: nn.Module, photos: BaselinePhotos, *, optimizer: torch.optim.Optimizer, batch_size: int, **loading: Any
) -> None:
    """Train the last layer for one epoch, with batch norm in train mode as is usual."""
    network.train()
    for images, labels in DataLoader(photos, batch_size=batch_size, shuffle=True, **loading):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@torch.no_grad()
def validate(network: nn.Module, photos: BaselinePhotos, *, batch_size: int, **loading: Any) -> float:
    """Return the accuracy on the validation photos."""
    network.eval()
    correct = 0
    for images, labels in DataLoader(photos, batch_size=batch_size, **loading):
        correct += int((network(images).argmax(dim=1) == labels).sum())
    return correct / len(photos)
