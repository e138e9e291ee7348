"""A folder of photos on this machine: what would be uploaded, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CliError
from contract import PHOTO_SUFFIXES, SPLIT_FOLDERS

__all__ = ["Photos", "find_photos"]


@dataclass(frozen=True)
class Photos:
    """Photos in class folders below `folder`."""

    folder: Path
    paths: tuple[Path, ...]
    """Relative to `folder`, sorted."""
    classes: dict[str, int]
    """Photos of each class."""
    passed_over: int
    """Files that are no photos in a class folder."""


def find_photos(folder: Path) -> Photos:
    """List `folder/<class>/…` or `folder/{train,valid,test}/<class>/…`.

    Raises:
        CliError: it is not a folder, or holds no photos in class folders.
    """
    if not folder.is_dir():
        raise CliError(f"{folder} is not a folder: give the folder that holds a folder of photos for each class")
    photos, passed_over = [], 0
    classes: Counter[str] = Counter()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = path.relative_to(folder)
        parts = relative.parts[1:] if relative.parts[0].lower() in SPLIT_FOLDERS else relative.parts
        if len(parts) < 2 or path.suffix.lower() not in PHOTO_SUFFIXES:
            passed_over += 1
            continue
        classes[parts[0]] += 1
        photos.append(relative)
    if not photos:
        raise CliError(
            f"{folder} holds no photos in class folders: expected {folder}/<class>/photo.jpg or "
            f"{folder}/train/<class>/photo.jpg, with one of {', '.join(sorted(PHOTO_SUFFIXES))}"
        )
    return Photos(folder, tuple(photos), dict(classes), passed_over)
