"""Reading a folder's photos: their content, their pixels, and their features by the frozen backbone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

import contract
from training.data.manifest import in_order, read_photo
from training.doctor.kept import KeptPhotos
from training.doctor.pixels import decoded, measure
from training.embedding.embedder import Embedder
from training.model.weights import load_backbone
from training.preprocess import ImageError, center_crop

__all__ = ["IMAGE_SIZE", "Backbone", "read_photos"]

BACKBONE: Final = "efficientnet_lite0"
"""Its weights are a package, so that a check needs no network."""

IMAGE_SIZE: Final = 224

_VERSION: Final = 1
"""Raise when `pixels.PIXELS` or what is measured changes: what is kept is then not used."""

_BATCH: Final = 32


@dataclass(frozen=True)
class Backbone:
    """The backbone on its device, and what tells its features from others."""

    embedder: Embedder
    levels: list[int]
    key: str

    @classmethod
    def load(cls) -> Backbone:
        """Load the backbone that needs no network."""
        network, weights = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
        levels = network.level_sizes(image_size=IMAGE_SIZE)
        embedder = Embedder.on_all_devices(network)[0]
        parts = f"{BACKBONE} {weights} {IMAGE_SIZE} {levels} {embedder.precision}"
        key = hashlib.sha256(f"{parts} {contract.FEATURES_VERSION} {_VERSION}".encode()).hexdigest()[:16]
        return cls(embedder, levels, key)


@dataclass(frozen=True)
class _Read:
    content: bytes
    pixels: NDArray[Any] | None = None
    """None if the photo is known already."""
    picture: NDArray[np.uint8] | None = None
    """(IMAGE_SIZE, IMAGE_SIZE, 3)"""


def read_photos(
    folder: Path,
    paths: Sequence[str],
    *,
    kept: KeptPhotos,
    embedder: Embedder,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[bytes | ImageError]:
    """Return the SHA-256 of every photo, or why it cannot be read; what was not known of them is then in `kept`.

    Args:
        folder: the data set's.
        paths: of the photos, below it.
        kept: what is known of photos.
        embedder: the backbone.
        on_progress: called with the number of photos that were read, now and then.
    """
    preprocessing = embedder.backbone.preprocessing

    def read(path: str) -> _Read:
        try:
            data = read_photo(folder, path)
        except OSError as error:
            raise ImageError(f"the file cannot be read: {error.strerror}") from error
        content = hashlib.sha256(data).digest()
        if content in kept:
            return _Read(content)
        image, size = decoded(data, shorter_side=preprocessing.resize)
        return _Read(content, measure(image, size=size), center_crop(image, preprocessing))

    found: list[bytes | ImageError] = []
    waiting: dict[bytes, _Read] = {}

    def embed() -> None:
        if waiting:
            pictures = torch.from_numpy(np.stack([new.picture for new in waiting.values() if new.picture is not None]))
            pixels = np.array([new.pixels for new in waiting.values()])
            kept.add(list(waiting), pixels=pixels, features=embedder.embed(pictures))
            waiting.clear()

    # threads decode ahead of the backbone
    for _, result in in_order(read, paths, ahead=2 * _BATCH):
        found.append(result if isinstance(result, ImageError) else result.content)
        if isinstance(result, _Read) and result.pixels is not None and result.content not in kept:
            waiting.setdefault(result.content, result)
        if len(waiting) == _BATCH:
            embed()
        if len(found) % _BATCH == 0:
            on_progress(len(found))
    embed()
    on_progress(len(found))
    return found
