"""Listing the photos of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import CliError
from cli.photos import find_photos


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_class_folders_are_counted_and_other_files_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "cat/deep/b.JPEG", "dog/c.png", "dog/notes.txt", "readme.md", "loose.jpg")
    photos = find_photos(tmp_path)
    assert photos.classes == {"cat": 2, "dog": 1}
    assert [path.as_posix() for path in photos.paths] == ["cat/a.jpg", "cat/deep/b.JPEG", "dog/c.png"]
    assert photos.skipped == 3


def test_a_given_split_counts_by_class(tmp_path: Path) -> None:
    _touch(tmp_path, "train/cat/a.jpg", "Valid/cat/b.jpg", "test/dog/c.jpg", "train/loose.jpg")
    photos = find_photos(tmp_path)
    assert photos.classes == {"cat": 2, "dog": 1}
    assert photos.skipped == 1


def test_a_folder_without_class_folders_is_refused_with_the_expected_shape(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg")
    with pytest.raises(CliError, match=r"expected .*/<class>/photo\.jpg"):
        find_photos(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="nowhere is not a folder: give the folder that holds"):
        find_photos(tmp_path / "nowhere")
