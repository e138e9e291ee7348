"""Folders of photos: photo, class and split, and what is told of folders that cannot be understood."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import DatasetFolders, FolderError, read_folders

PLACE = "photos/"


def read(*paths: str) -> DatasetFolders:
    return read_folders([(path, 10) for path in paths], place=PLACE)


def found(*paths: str) -> list[tuple[str, str | None]]:
    return [(photo.label, photo.split) for photo in read(*paths).photos]


def refusal(*paths: str) -> str:
    with pytest.raises(FolderError) as refused:
        read(*paths)
    return str(refused.value)


def test_a_class_that_is_called_like_a_split_is_a_class() -> None:
    folders = read("bus/1.jpg", "car/2.jpg", "train/3.jpg", "Test/4.jpg")
    assert [photo.label for photo in folders.photos] == ["bus", "car", "train", "Test"]
    assert not folders.splits_given
    assert folders.remarks == [
        "Test, train counts as a class, since it holds its photos itself; a split folder would hold a folder for each "
        "class."
    ]


def test_a_class_that_is_called_like_a_split_is_one_below_splits_too() -> None:
    assert found("train/train/1.jpg", "train/bus/2.jpg", "test/train/3.jpg", "test/bus/4.jpg") == [
        ("train", "train"),
        ("bus", "train"),
        ("train", "test"),
        ("bus", "test"),
    ]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        *((name, "train") for name in ("train", "Training", "TRAIN")),
        *((name, "validation") for name in ("val", "valid", "Validation", "dev")),
        *((name, "test") for name in ("test", "testing", "eval", "Evaluation")),
    ],
)
def test_splits_have_many_names(folder: str, split: str) -> None:
    assert found(f"{folder}/cat/1.jpg", f"{folder}/dog/2.jpg") == [("cat", split), ("dog", split)]


def test_photos_without_a_class_in_a_split_are_named() -> None:
    """Kaggle's test photos have no labels."""
    folders = read("train/cat/1.jpg", "train/dog/2.jpg", "test/3.jpg")
    assert len(folders.photos) == 2
    assert folders.left_out == [{"path": "test/3.jpg", "reason": "it lies in no class folder"}]
    assert folders.remarks == [
        "The photos of test/ were left out, since they lie in no class folder: put each into test/<class>/."
    ]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        # photos that nothing is said about
        ("1.jpg 2.jpg", "2 photos directly in photos/, .* photos/<class>/<photo>"),
        ("train/1.jpg test/2.jpg", "look like splits, .* no class folders, .* test/<class>/<photo>"),
        ("train_images/1.jpg test-images/2.jpg", "look like splits"),
        # a level too many at the top
        ("set/cat/1.jpg set/dog/2.jpg", r"one folder, photos/set/, whose folders \(cat, dog\) look like the classes"),
        ("a/b/cat/1.jpg a/b/dog/2.jpg", "Give photos/a/b/ as the data set"),
        ("set/train/cat/1.jpg set/test/cat/2.jpg", r"photos/set/, whose folders \(test, train\) look like splits"),
        (
            "train/set/cat/1.jpg train/set/dog/2.jpg",
            "photos/train/set/, .* Move what is in it up into photos/train/",
        ),
        # Kaggle's doubled folders
        (
            "seg_train/seg_train/cat/1.jpg seg_train/seg_train/dog/1.jpg seg_test/seg_test/cat/1.jpg "
            "seg_pred/seg_pred/1.jpg",
            "seg_test, seg_train look like splits: .* moving photos/seg_train/seg_train/cat/ to photos/train/cat/",
        ),
        ("seg_train/cat/1.jpg seg_test/cat/2.jpg", "moving photos/seg_train/cat/ to photos/train/cat/"),
        ("train/train/cat/1.jpg train/train/dog/1.jpg test/test/cat/2.jpg", "test/ holds nothing but test/test/"),
        # a level too many at the bottom
        (
            "cat/siamese/1.jpg cat/persian/2.jpg dog/poodle/3.jpg",
            r"cat, dog hold only folders \(persian, poodle, siamese\), .* If the classes are cat, dog, move the photos "
            "up, photos/cat/<photo>; if they are persian, poodle, siamese, move these folders up, photos/persian/",
        ),
        # splits in classes, and beside them
        ("cat/train/1.jpg cat/test/2.jpg dog/Train/3.jpg", "inside class folders .* turn cat/test/ into test/cat/"),
        ("cat/1.jpg dog/val/2.jpg", r"inside class folders \(dog/val\)"),
        ("train/cat/test/1.jpg train/dog/2.jpg test/cat/3.jpg", r"inside class folders \(cat/test\)"),
        (
            "bus/1.jpg car/2.jpg train/steam/3.jpg",
            r"\(train\) stand beside .* \(bus, car\); .* if train is a class",
        ),
    ],
)
def test_folders_on_another_level_are_named_with_what_to_do(paths: str, told: str) -> None:
    assert re.search(told, refusal(*paths.split(" ")))


def test_a_folder_between_class_and_photos_that_can_be_no_class_is_no_level() -> None:
    assert found("cat/images/1.jpg", "dog/images/2.jpg") == [("cat", None), ("dog", None)]
    assert found("cat/cat/1.jpg", "dog/dog/2.jpg") == [("cat", None), ("dog", None)]


def test_folders_in_one_class_among_others_are_remarked() -> None:
    folders = read("cat/siamese/1.jpg", "cat/persian/2.jpg", "dog/3.jpg")
    assert [photo.label for photo in folders.photos] == ["cat", "cat", "dog"]
    assert folders.remarks == ["The photos in the folders persian, siamese all count as class cat."]


def test_a_class_of_files_that_are_not_read_is_not_dropped_in_silence() -> None:
    files = ["cat/1.jpg", "dog/2.jpg", "fox/1.heic", "fox/2.heic", "fox/3.txt", "fox/.DS_Store", ".git/x.jpg"]
    told = (
        "The folder fox is no class, since none of its 3 files is a photo that is read (HEIC is not read; convert it "
        "to JPEG)."
    )
    assert read(*files).remarks == [told]
    assert read(*(f"train/{path}" for path in files)).remarks == [told]
    assert read(*files, "fox/4.jpg").remarks == []


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "cat/._1.jpg",
        "cat/.AppleDouble/1.jpg",
        "._AppleDouble/cat/1.jpg",
        "__MACOSX/cat/1.jpg",
        ".ipynb_checkpoints/1-checkpoint.jpg",
        "cat/Thumbs.db",
        "cat/thumbs.DB",
        "cat/desktop.ini",
        "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "$RECYCLE.BIN/1.jpg",
    ],
)
def test_files_of_systems_are_named(path: str) -> None:
    folders = read("cat/1.jpg", "dog/2.jpg", path)
    assert folders.left_out == [{"path": path, "reason": "it is a file of the system or of a program"}]
    assert len(folders.photos) == 2


@pytest.mark.parametrize(
    ("path", "size", "reason"),
    [
        ("cat/1.heic", 10, "HEIC is not read; convert it to JPEG"),
        ("cat/1.HEIF", 10, "HEIF is not read; convert it to JPEG"),
        ("cat/1.hif", 10, "HEIF is not read; convert it to JPEG"),
        ("cat/1.jpg", 0, "it is empty (0 bytes)"),
        ("1.jpg", 10, "it lies in no class folder"),
    ],
)
def test_every_other_file_has_its_reason(path: str, size: int, reason: str) -> None:
    folders = read_folders([("cat/a.jfif", 10), ("dog/b.JPE", 10), ("dog/c.avif", 10), (path, size)], place=PLACE)
    assert folders.left_out == [{"path": path, "reason": reason}]
    assert len(folders.photos) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", unicodedata.normalize("NFD", "Café")),
        ("Cat", "cat"),
        ("Straße", "STRASSE"),
        ("cat", "cat\u200b"),
        ("cat", "c\u00adat"),
        ("cat", "cat "),
        ("a cat", "a\u00a0cat"),
        ("❤", "❤\ufe0f"),
    ],
)
def test_names_that_look_the_same_are_refused_together(one: str, other: str) -> None:
    for paths in ((f"{one}/1.jpg", f"{other}/2.jpg"), (f"train/{one}/1.jpg", f"test/{other}/2.jpg", "train/x/3.jpg")):
        told = refusal(*paths)
        assert "look the same" in told
        assert ascii(one) in told
        assert ascii(other) in told


def test_the_files_with_the_groups_are_no_stray_files() -> None:
    folders = read("cat/1.jpg", "dog/2.jpg", ".whippet-groups.csv")
    assert (folders.has_groups, folders.has_found_groups, folders.left_out) == (False, True, [])
    folders = read("cat/1.jpg", "dog/2.jpg", "groups.csv")
    assert (folders.has_groups, folders.has_found_groups) == (True, False)
    assert folders.left_out == []
    assert not read("cat/1.jpg", "dog/2.jpg").has_groups


NAMES = st.sampled_from(["train", "Test", "val", "cat", "dog", "Cat", "seg_train", "seg_test", ".x", "__MACOSX", "a "])
FILES = st.sampled_from(["1.jpg", "2.PNG", "3.heic", "._4.jpg", "5.txt", "Thumbs.db"])
TREES = st.lists(
    st.tuples(st.lists(NAMES, max_size=4), FILES, st.integers(0, 1)).map(
        lambda drawn: ("/".join([*drawn[0], drawn[1]]), drawn[2])
    ),
    max_size=12,
    unique_by=lambda file: file[0],
)


@given(TREES, st.randoms(use_true_random=False))
def test_every_file_is_a_photo_or_named_whatever_the_order(files: list[tuple[str, int]], rng: random.Random) -> None:
    def outcome(files: list[tuple[str, int]]) -> object:
        try:
            folders = read_folders(files, place=PLACE)
        except FolderError as error:
            return str(error)
        assert sorted(path for path, _ in files) == sorted(
            [*(photo.path for photo in folders.photos), *(file["path"] for file in folders.left_out)]
        )
        assert all((photo.split is not None) == folders.splits_given for photo in folders.photos)
        return sorted((photo.path, photo.label, photo.split) for photo in folders.photos), folders.remarks

    shuffled = list(files)
    rng.shuffle(shuffled)
    assert outcome(shuffled) == outcome(files)


def test_the_object_that_says_that_the_photos_are_there_is_none_of_them() -> None:
    folders = read("cat/1.jpg", "dog/2.jpg", "READY", "cat/READY")
    assert [photo.path for photo in folders.photos] == ["cat/1.jpg", "dog/2.jpg"]
    assert [file["path"] for file in folders.left_out] == ["cat/READY"], "only right below the data set's folder"
    assert [photo.label for photo in read("READY/1.jpg", "dog/2.jpg").photos] == ["READY", "dog"]
