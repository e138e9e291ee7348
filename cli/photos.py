"""Photos on this machine: which files of a folder are photos of a class, and of what type they are."""

from __future__ import annotations

import mimetypes
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cli import CliError
from contract import PHOTO_SUFFIXES, SPLIT_FOLDERS

__all__ = ["Photos", "find_photos", "media_type"]


@dataclass(frozen=True)
class Photos:
    """The photos in the class folders below `folder`."""

    folder: Path
    paths: tuple[Path, ...]
    """Relative to `folder`, sorted."""
    classes: dict[str, int]
    """Number of photos of each class."""
    skipped: int
    """Number of files that are not photos in a class folder."""


def find_photos(folder: Path) -> Photos:
    """List the photos of `folder/<class>/…` or `folder/{train,valid,test}/<class>/…`.

    Raises:
        CliError: `folder` is not a folder, or holds no photos in class folders.
    """
    if not folder.is_dir():
        raise CliError(f"{folder} is not a folder: give the folder that holds a subfolder of photos for each class")
    photos, skipped = [], 0
    classes: Counter[str] = Counter()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = path.relative_to(folder)
        # A split's folder stands above the class folders.
        parts = relative.parts[1:] if relative.parts[0].lower() in SPLIT_FOLDERS else relative.parts
        if len(parts) < 2 or path.suffix.lower() not in PHOTO_SUFFIXES:
            skipped += 1
            continue
        classes[parts[0]] += 1
        photos.append(relative)
    if not photos:
        raise CliError(
            f"{folder} holds no photos in class folders: expected {folder}/<class>/photo.jpg or "
            f"{folder}/train/<class>/photo.jpg; a photo's name ends in one of {', '.join(sorted(PHOTO_SUFFIXES))}"
        )
    return Photos(folder, tuple(photos), dict(classes), skipped)


def media_type(photo: Path) -> str:
    """Return a photo's media type, judged by its name."""
    return mimetypes.guess_type(photo.name)[0] or "application/octet-stream"
