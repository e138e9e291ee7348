from __future__ import annotations

from datetime import UTC, datetime

import pytest
from check_dataset.listing import BadDataset, check_disk, list_photos, parse_listing

import contract
from tests.fakes.s3 import FakeS3


def objects(*paths: str) -> list[tuple[str, int, str]]:
    return [(path, 10, f"etag-{path}") for path in paths]


def test_class_folders_are_found_at_any_depth_and_case_of_the_ending() -> None:
    listing = parse_listing(objects("cat/1.jpg", "cat/2.JPEG", "dog/holiday/3.PnG", "dog/4.webp"))
    assert [(photo.path, photo.label, photo.split) for photo in listing.photos] == [
        ("cat/1.jpg", "cat", None),
        ("cat/2.JPEG", "cat", None),
        ("dog/holiday/3.PnG", "dog", None),
        ("dog/4.webp", "dog", None),
    ]
    assert not listing.splits_given


@pytest.mark.parametrize("folder", ["valid", "validation", "val", "Validation"])
def test_split_folders_are_known_by_their_usual_names(folder: str) -> None:
    listing = parse_listing(objects("train/cat/1.jpg", f"{folder}/cat/2.jpg", "test/cat/3.jpg"))
    assert [photo.split for photo in listing.photos] == ["train", "validation", "test"]
    assert listing.splits_given


def test_what_is_no_photo_is_counted_and_passed_over() -> None:
    found = [*objects("cat/1.jpg", "cat/notes.txt", "readme.md", "top.jpg", ".git/a/x.jpg", "__MACOSX/cat/._1.jpg")]
    found += [("cat/", 0, "folder"), ("cat/empty.jpg", 0, "e")]
    listing = parse_listing(found)
    assert len(listing.photos) == 1
    assert listing.stray_files == 6


def test_a_photo_beside_the_class_folders_of_a_split_is_stray() -> None:
    listing = parse_listing(objects("train/cat/1.jpg", "train/loose.jpg"))
    assert (len(listing.photos), listing.stray_files) == (1, 1)


def test_an_empty_prefix_says_where_to_upload() -> None:
    s3 = FakeS3({"dataset/readme.txt": b"x"})
    with pytest.raises(BadDataset, match=r"no photos .* s3://data/dataset/<class>/<photo>"):
        list_photos(s3, bucket="data", prefix="dataset/")  # type: ignore[arg-type]


def test_split_and_class_folders_side_by_side_are_refused() -> None:
    with pytest.raises(BadDataset, match=r"split folders \(train\) stand beside class folders \(cats\)"):
        parse_listing(objects("train/cat/1.jpg", "cats/2.jpg"))


@pytest.mark.parametrize("name", ["bad\x07bell", "half\ufffdread", " spaces ", "x" * 257])
def test_class_names_that_cannot_be_labels_are_refused(name: str) -> None:
    with pytest.raises(BadDataset, match="cannot be labels"):
        parse_listing(objects(f"{name}/1.jpg"))


@pytest.mark.parametrize("code", ["202E", "200B", "2066", "FEFF", "2028", "2029"])
def test_characters_that_nobody_sees_are_refused_with_their_code_points(code: str) -> None:
    """They would make two classes look the same, or show a name backwards (A-77)."""
    with pytest.raises(BadDataset, match=rf"'cat\\u{code.lower()}' \(U\+{code}\)"):
        parse_listing(objects(f"cat{chr(int(code, 16))}/1.jpg", "cat/2.jpg"))


def test_names_of_other_scripts_are_labels() -> None:
    assert [photo.label for photo in parse_listing(objects("猫/1.jpg", "Füchse/2.jpg")).photos] == ["猫", "Füchse"]


def machines(disk_bytes: int | None) -> contract.Machines:
    return {
        "processes": 1,
        "disk_bytes": disk_bytes,
        "disk": "50 GiB; raise training.volume_gib",
        "fine_tuning_rate": None,
        "quotas": [],
    }


def test_a_data_set_that_does_not_fit_on_the_disk_is_refused() -> None:
    """Every file below the prefix is copied, photo or not (A-14)."""
    listing = parse_listing([("cat/1.jpg", 10, "a"), ("cat/film.mov", 60 * 10**9, "b"), ("cat/", 0, "c")])
    with pytest.raises(BadDataset) as refused:
        check_disk(listing, machines(50 * 2**30))
    assert "has 60.0 GB" in str(refused.value)
    assert "50 GiB; raise training.volume_gib, or set dataset.input_mode=FastFile" in str(refused.value)
    check_disk(listing, machines(64 * 2**30))
    check_disk(listing, machines(None))
    with pytest.raises(BadDataset):
        check_disk(listing, machines(61 * 10**9))  # the file system and the job's files need some


def test_a_hundred_thousand_photos_are_listed_page_by_page() -> None:
    s3 = FakeS3()
    s3.objects = {f"dataset/{number % 10}/{number:06}.jpg": b"%d" % number for number in range(100_000)}
    s3.modified = dict.fromkeys(s3.objects, datetime(2026, 1, 1, tzinfo=UTC))
    listing = list_photos(s3, bucket="data", prefix="dataset/")  # type: ignore[arg-type]
    assert len(listing.photos) == 100_000
    assert s3.pages == 100
