"""Listing the photos of a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli import CliError
from cli.photos import find_photos, media_type


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a photo")


def test_class_folders_are_counted_and_other_files_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "cat/deep/b.JPEG", "dog/c.png", "dog/notes.txt", "readme.md", "loose.jpg")
    photos = find_photos(tmp_path)
    assert photos.classes == {"cat": 2, "dog": 1}
    assert [path.as_posix() for path in photos.paths] == ["cat/a.jpg", "cat/deep/b.JPEG", "dog/c.png"]
    assert {file["path"]: file["reason"].split(",")[0] for file in photos.left_out} == {
        "dog/notes.txt": "it is no photo by its name",
        "loose.jpg": "it lies in no class folder",
        "readme.md": "it is no photo by its name",
    }


def test_a_given_split_counts_by_class(tmp_path: Path) -> None:
    _touch(tmp_path, "train/cat/a.jpg", "Valid/cat/b.jpg", "test/dog/c.jpg", "train/loose.jpg")
    photos = find_photos(tmp_path)
    assert photos.classes == {"cat": 2, "dog": 1}
    assert [file["path"] for file in photos.left_out] == ["train/loose.jpg"]


def test_a_folder_without_class_folders_is_refused_with_the_expected_shape(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.txt")
    with pytest.raises(CliError, match=r"expected .*/<class>/photo\.jpg.*\n  cat/a\.txt: it is no photo"):
        find_photos(tmp_path)


def test_linked_photos_and_folders_count_as_what_they_lead_to(tmp_path: Path) -> None:
    """As for `aws s3 sync`, which follows links."""
    _touch(tmp_path, "set/cat/a.jpg", "set/dog/b.jpg", "elsewhere/c.jpg", "elsewhere/deep/d.jpg")
    (tmp_path / "set" / "fox").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "cat" / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    photos = find_photos(tmp_path / "set")
    assert photos.classes == {"cat": 2, "dog": 1, "fox": 2}
    assert photos.left_out == ()


def test_links_that_lead_nowhere_or_back_are_named(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "dog/b.jpg")
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "dog" / "back").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    assert {file["path"]: file["reason"] for file in find_photos(tmp_path).left_out} == {
        "cat/gone.jpg": "it is a link that leads nowhere",
        "cat/pipe.jpg": "it is no regular file",
        "dog/back": "it is a link to a folder that it lies in",
    }


def test_a_name_that_is_no_text_is_named_and_left_out(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "dog/b.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/\xff.jpg")).write_bytes(b"a photo")
    assert find_photos(tmp_path).left_out == (
        {"path": "cat/\\udcff.jpg", "reason": "its name is not UTF-8, which S3 takes for names; rename it"},
    )


@pytest.mark.parametrize("name", ["a.jfif", "a.JPE", "a.jpg"])
def test_every_name_of_a_jpeg_has_its_media_type(name: str) -> None:
    assert media_type(Path(name)) == "image/jpeg"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="nowhere is not a folder: give the folder that holds"):
        find_photos(tmp_path / "nowhere")
