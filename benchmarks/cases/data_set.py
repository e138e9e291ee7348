"""The folders of the cases, laid out where they are tried, and a data set with the pictures among them."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

__all__ = ["CASES", "DAMAGED", "LARGE", "write_folders"]

SHARED: Final = Path(__file__).parents[3] / "shared"
CASES: Final = SHARED / "cases"
PHOTOS: Final = SHARED / "data" / "clothing10" / "train"

DAMAGED: Final = "train/dress/scan [/old].jpg"
LARGE: Final = ("test/hat/large.png", "train/hat/large.png")
"""The same photo twice; the first is uploaded in parts."""


def write_folders(root: Path) -> None:
    """Lay out the folders of the cases, archives unpacked, and the data set `photos`."""
    for folder in (CASES / "folders").iterdir():
        if folder.is_dir():
            (root / folder.name).symlink_to(folder)
        else:
            with tarfile.open(folder) as archive:
                archive.extractall(root, filter="data")
    _write_photos(root / "photos")


def _write_photos(folder: Path) -> None:
    """Write a data set with the pictures of the cases.

    One class folder is a link, the same photo of 9 MB lies in train and in test, and the path of a damaged photo looks
    like markup.
    """
    for name in ("dress", "hat", "shoes"):
        for split, chosen in (("train", slice(0, 14)), ("test", slice(14, 20))):
            (folder / split / name).mkdir(parents=True)
            for photo in sorted((PHOTOS / name).iterdir())[chosen]:
                shutil.copy(photo, folder / split / name)
    linked = folder / "train" / "shoes"
    linked.rename(folder.parent / "elsewhere")
    linked.symlink_to(folder.parent / "elsewhere")

    for picture in (CASES / "images").iterdir():
        shutil.copy(picture, folder / "train" / "dress")
    (folder / DAMAGED).parent.mkdir()
    (folder / DAMAGED).write_text("this is no photo")
    noise = np.random.default_rng(0).integers(0, 256, size=(1750, 1750, 3), dtype=np.uint8)
    for path in LARGE:
        Image.fromarray(noise).save(folder / path, compress_level=1)
