"""Photos that belong together, by a file or by their names."""

from __future__ import annotations

import pytest
from check_dataset import groups
from check_dataset.groups import groups_of_file, with_groups
from check_dataset.listing import BadDataset, Photo

PATHS = ("cat/store1_a.jpg", "cat/store2_b.jpg", "dog/store1_c.jpg", "dog/other.jpg")


def photos() -> list[Photo]:
    return [Photo(path, path.split("/")[0], None, path, 10) for path in PATHS]


def found(*, listed: dict[str, str] | None = None, pattern: str | None = None) -> tuple[list[str | None], list[str]]:
    some, remarks = with_groups(photos(), listed=listed or {}, pattern=pattern)
    return [photo.group for photo in some], remarks


def test_without_a_file_and_a_pattern_no_photo_has_a_group() -> None:
    assert found() == ([None] * 4, [])


def test_a_pattern_finds_the_group_in_the_path() -> None:
    assert found(pattern=r"/(store\d+)_") == (
        ["store1", "store2", "store1", None],
        ["1 photo without a group, split one by one: dog/other.jpg."],
    )


def test_a_row_of_the_file_counts_before_the_pattern() -> None:
    listed = {"cat/store1_a.jpg": "mine", "gone.jpg": "mine"}
    assert found(listed=listed, pattern=r"/(\w+)") == (
        ["mine", "store2_b", "store1_c", "other"],
        ["1 row of groups.csv without a photo: gone.jpg."],
    )


def test_a_burst_that_the_upload_found_counts_last_and_is_told() -> None:
    bursts = {"cat/store1_a.jpg": "b", "cat/store2_b.jpg": "b", "dog/other.jpg": "c", "gone.jpg": "c"}
    some, remarks = with_groups(photos(), listed={"cat/store1_a.jpg": "mine"}, pattern=r"/(store2)_", found=bursts)
    assert [(photo.group, photo.group_found) for photo in some] == [
        ("mine", False),
        ("store2", False),
        (None, False),
        ("burst c", True),
    ]
    assert remarks == [
        "2 photos without a group, split one by one: dog/store1_c.jpg, dog/other.jpg.",
    ]
    alone, remarks = with_groups(photos(), listed={}, pattern=None, found=bursts)
    assert remarks == [
        "2 photos were taken in bursts (1), by the time and the camera in their files: a burst stays together wherever "
        "the splits are made here and not by folders."
    ]
    assert [photo.group for photo in alone] == ["burst b", "burst b", None, "burst c"]


def test_a_pattern_that_finds_nothing_is_refused() -> None:
    with pytest.raises(BadDataset, match=r"finds a group in no photo's path, such as cat/store1_a\.jpg"):
        found(pattern="shop(.)")


def test_a_file_of_other_photos_is_refused() -> None:
    with pytest.raises(BadDataset, match=r"no row of groups\.csv names a photo .* such as cat/store1_a\.jpg"):
        found(listed={"photos/cat/store1_a.jpg": "x"})


def test_a_pattern_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_MATCH_SECONDS", 1)
    endless = Photo(f"cat/{'a' * 60}!.jpg", "cat", None, "e", 10)
    with pytest.raises(BadDataset, match=r"took more than 1 s .* without a repetition in a repetition"):
        with_groups([endless], listed={}, pattern=r"/((a+)+)$")


@pytest.mark.parametrize(
    "text",
    [
        'path,group\n"a, b.jpg",x\nc.jpg,y\nd.jpg,\n',
        "\ufeffgroup;path;more\r\nx;a, b.jpg;1\r\ny;c.jpg;2\r\n",
    ],
)
def test_the_file_is_read_as_spreadsheets_write_it(text: str) -> None:
    assert groups_of_file(text.encode()) == {"a, b.jpg": "x", "c.jpg": "y"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"file,store\na.jpg,1\n", r"first line .* is 'file,store'; expected the columns path and group"),
        (b"", "first line .* is ''"),
        (b"path,group\na.jpg,1\na.jpg,2\n", "a.jpg into two groups, '1' and '2'"),
        ("path,group\né,1\n".encode("latin-1"), "not UTF-8"),
        (b" " * (groups.MAX_FILE_BYTES + 1), "more than 67,108,864 bytes"),
        (b'path,group\na.jpg,1\n"b.jpg,2\n' + b"c.jpg,3\n" * 20_000, r"no table from line 3 on .* quotation mark"),
        (b" " * 200_000, "no table from line 1 on"),
    ],
)
def test_a_wrong_file_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(BadDataset, match=told):
        groups_of_file(content)


def test_a_file_of_the_largest_size_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"path,group\na.jpg,1\n"
    monkeypatch.setattr(groups, "MAX_FILE_BYTES", len(content))
    assert groups_of_file(content) == {"a.jpg": "1"}
