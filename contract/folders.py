"""Folders of photos: which files are photos, and of which class and split.

`whippet upload` asks here before it sends a folder, and CheckDataset before it trains on what lies in the bucket, so
that both answer alike. The jobs read the manifest that CheckDataset writes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from contract.class_names import check_class_names, shown
from contract.dataset import FOUND_GROUPS_FILE, GROUPS_FILE, PHOTO_SUFFIXES, READY_FILE, LeftOut, SplitName
from contract.folder_levels import Branch, branches, check_class_level, check_split_level, listed, split_of

__all__ = ["DatasetFolders", "FolderPhoto", "is_photo_name", "is_system_file", "read_folders", "why_no_photo"]

_SYSTEM_NAMES: Final = frozenset(
    {
        "__macosx",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
    }
)
"""Names, in lower case, of files and folders that systems make beside photos; all other such names begin with a dot."""

_PHONE_FORMATS: Final = {".heic": "HEIC", ".heif": "HEIF", ".hif": "HEIF"}

_SYSTEM_FILE: Final = "it is a file of the system or of a program"
_NO_CLASS_FOLDER: Final = "it lies in no class folder"


@dataclass(frozen=True, slots=True)
class FolderPhoto:
    """A photo in a class folder. `split` is None where the folders do not give the split."""

    path: str
    label: str
    split: SplitName | None


@dataclass(frozen=True)
class DatasetFolders:
    """What the files of a data set are."""

    photos: list[FolderPhoto]
    """In the order of the files."""
    left_out: list[LeftOut]
    """Every file that is no photo in a class folder, in the order of the files, with the reason."""
    remarks: list[str]
    """What a person should know about how the folders were understood."""
    splits_given: bool
    has_groups: bool
    """Whether `GROUPS_FILE` is there."""
    has_found_groups: bool
    """Whether `FOUND_GROUPS_FILE` is there."""


def read_folders(files: Iterable[tuple[str, int]], *, place: str) -> DatasetFolders:
    """Find class and split of every photo among files of (path below the data set's folder, size in bytes).

    A folder of the top level counts as a split if it is named like one (`SPLIT_FOLDERS`, in any case) and holds folders
    with photos. One that is named so and holds its photos itself is a class, unless all are: then the classes lack.

    Args:
        files: Paths with slashes, relative to the data set's folder.
        place: The data set's folder as messages name it, with a slash at its end.

    Raises:
        FolderError: the classes stand on another level than the first (or the second, below split folders), split
            folders stand beside class folders, or names of classes cannot be told apart or read.
    """
    # separate the photos from all other files
    found: list[tuple[str, ...]] = []
    reasons: dict[str, str] = {}
    order: list[str] = []
    has_groups = has_found_groups = False
    for path, size in files:
        if path.endswith("/"):
            continue  # an empty object that stands for a folder, as the S3 console makes it
        if path == READY_FILE:
            continue  # it says that the photos are there, and is none
        if path == GROUPS_FILE:
            has_groups = True
            continue
        if path == FOUND_GROUPS_FILE:
            has_found_groups = True
            continue
        order.append(path)
        if reason := why_no_photo(path, size):
            reasons[path] = reason
        else:
            found.append(tuple(path.split("/")))

    # decide on the level of the classes, and judge whether it can be right
    tops = branches(found, level=0)
    split_tops = _split_tops(tops)
    check_split_level(tops, split_tops=split_tops, loose=sum(len(parts) == 1 for parts in found), place=place)
    level = 1 if split_tops else 0
    classes = branches((parts for parts in found if not split_tops or parts[0] in split_tops), level=level)
    check_class_level(classes, above=sorted(split_tops), place=place)

    # read class and split from the folders
    photos: dict[str, FolderPhoto] = {}
    for parts in found:
        path = "/".join(parts)
        if len(parts) < level + 2 or (split_tops and parts[0] not in split_tops):
            reasons[path] = _NO_CLASS_FOLDER
        else:
            photos[path] = FolderPhoto(path, parts[level], split_tops.get(parts[0]))
    check_class_names({photo.label for photo in photos.values()})

    return DatasetFolders(
        photos=[photos[path] for path in order if path in photos],
        left_out=[LeftOut(path=path, reason=reasons[path]) for path in order if path in reasons],
        remarks=[
            *_remarks(tops, split_tops=split_tops, classes=classes),
            *_lost_folders(reasons, tops=tops, split_tops=split_tops, classes=classes),
        ],
        splits_given=bool(split_tops),
        has_groups=has_groups,
        has_found_groups=has_found_groups,
    )


def is_system_file(path: str) -> bool:
    """Return whether a file is one that systems and programs make beside photos, by its path's names."""
    return any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in path.split("/"))


def is_photo_name(path: str) -> bool:
    """Return whether a file is a photo by its name, of a format that is read or of one that has to be converted."""
    return PurePosixPath(path).suffix.lower() in {*PHOTO_SUFFIXES, *_PHONE_FORMATS}


def why_no_photo(path: str, size: int) -> str | None:
    """Return why a file of this path and size in bytes is no photo; None if it is one by its name."""
    if is_system_file(path):
        return _SYSTEM_FILE
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _PHONE_FORMATS:
        return f"{_PHONE_FORMATS[suffix]} is not read; convert it to JPEG"
    if suffix not in PHOTO_SUFFIXES:
        return f"it is no photo by its name, which must end in {', '.join(sorted(PHOTO_SUFFIXES))}"
    return None if size else "it is empty (0 bytes)"


def _split_tops(tops: Mapping[str, Branch]) -> dict[str, SplitName]:
    """Return the split of each top folder that is one: by its name, and because it holds folders with photos."""
    splits = {name: split_of(name) for name, branch in tops.items() if branch.folders}
    return {name: split for name, split in splits.items() if split}


def _remarks(
    tops: Mapping[str, Branch], *, split_tops: Mapping[str, SplitName], classes: Mapping[str, Branch]
) -> Iterator[str]:
    named = [name for name in sorted(tops) if name not in split_tops and split_of(name)]
    if named and split_tops:
        yield (
            f"The photos of {listed(f'{name}/' for name in named)} were left out, since they lie in no class folder: "
            f"put each into {shown(named[0])}/<class>/."
        )
    elif named:
        yield (
            f"{listed(named)} counts as a class, since it holds its photos itself; a split folder would hold a folder "
            "for each class."
        )
    for name, branch in sorted(classes.items()):
        if branch.folders and not branch.direct:
            yield f"The photos in the folders {listed(sorted(branch.folders))} all count as class {shown(name)}."


def _lost_folders(
    reasons: Mapping[str, str],
    *,
    tops: Mapping[str, Branch],
    split_tops: Mapping[str, SplitName],
    classes: Mapping[str, Branch],
) -> Iterator[str]:
    """Name folders that would be a class or a split, had they a photo that is read."""
    lost: dict[str, Counter[str]] = defaultdict(Counter)
    for path, reason in reasons.items():
        top, *below = path.split("/")[:-1] or [""]
        if reason == _SYSTEM_FILE or not top:
            continue
        if top not in tops:
            lost[top][reason] += 1
        elif top in split_tops and below and below[0] not in classes:
            lost[below[0]][reason] += 1
    for name, counts in sorted(lost.items()):
        reason = max(sorted(counts), key=counts.__getitem__)
        yield (
            f"The folder {shown(name)} is no class, since none of its {counts.total()} files is a photo that is read "
            f"({reason})."
        )
