"""The level on which class folders stand: told from split folders, and from folders one too high or too deep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from contract.class_names import shown
from contract.dataset import SPLIT_FOLDERS, FolderError, SplitName
from contract.words import counted

__all__ = ["Branch", "branches", "check_class_level", "check_split_level", "listed", "split_of"]

_FOLDER_OF: Final[dict[SplitName, str]] = {"train": "train", "validation": "valid", "test": "test"}
"""Folder that messages recommend for a split."""

_NAMED: Final = 5


@dataclass
class Branch:
    """A folder and the number of photos in it."""

    direct: int = 0
    """Photos that lie in the folder itself."""
    folders: dict[str, Branch] = field(default_factory=dict)
    """Its folders with photos in or below them."""


def branches(photos: Iterable[Sequence[str]], *, level: int) -> dict[str, Branch]:
    """Return the folders on a level, with all below them; of folders with one name on different paths, the union."""
    root = Branch()
    for parts in photos:
        branch = root
        for name in parts[level:-1]:
            branch = branch.folders.setdefault(name, Branch())
        branch.direct += 1
    return root.folders


def listed(names: Iterable[str]) -> str:
    """Return the first names of a list, readable, and how many more there are."""
    names = [shown(name) for name in names]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def split_of(name: str) -> SplitName | None:
    """Return the split that a folder is named after, in any case."""
    return SPLIT_FOLDERS.get(name.strip().lower())


def check_split_level(tops: Mapping[str, Branch], *, split_tops: Iterable[str], loose: int, place: str) -> None:
    """Check that the top folders are splits, or classes, and not both.

    Raises:
        FolderError: split folders stand beside class folders, or hold no class folders; or there are no folders.
    """
    # photos without any folder
    if loose and not tops:
        raise FolderError(
            f"{counted(loose, 'photo')} directly in {place}, and nothing that says what they show: put the photos "
            f"of each class into a folder of its own, {place}<class>/<photo>"
        )

    # splits beside classes, and a split in a split
    split_tops = sorted(split_tops)
    others = [name for name in sorted(tops) if name not in split_tops]
    if split_tops:
        if beside := [name for name in others if not split_of(name)]:
            raise FolderError(
                f"split folders ({listed(split_tops)}) stand beside class folders ({listed(beside)}); put every class "
                "below train/, valid/ and test/, or every class directly below the prefix; if "
                f"{listed(split_tops)} is a class, too, put its photos directly into it, since a folder of this name "
                "that holds folders counts as a split"
            )
        for name in split_tops:
            inner = tops[name].folders
            if len(inner) == 1 and not tops[name].direct and split_of(only := next(iter(inner))):
                raise FolderError(
                    f"{shown(name)}/ holds nothing but {shown(name)}/{shown(only)}/, a split folder in a split folder; "
                    f"move what is in {place}{shown(name)}/{shown(only)}/ up into {place}{shown(name)}/, so that the "
                    f"photos lie in {shown(name)}/<class>/"
                )

    # splits without classes
    elif others and not any(tops[name].folders for name in others) and _all_look_like_splits(others):
        raise FolderError(
            f"{listed(others)} look like splits, but hold photos and no class folders, so that nothing says what the "
            f"photos show: put the photos of each class into a folder of its own, {shown(others[0])}/<class>/<photo>; "
            "if these are the classes, give the folders other names"
        )


def check_class_level(classes: Mapping[str, Branch], *, above: Sequence[str], place: str) -> None:
    """Check that the class folders do not stand a level higher or deeper.

    Args:
        classes: The folders that would be the classes.
        above: The split folders above them, if there are some.
        place: The data set's folder as messages name it.

    Raises:
        FolderError: they hold no photos themselves, or split folders stand in them.
    """
    start = f"{place}{shown(above[0])}/" if above else place
    if len(classes) == 1:
        _check_single(*next(iter(classes.items())), above=above, start=start)
        return

    # split folders below class folders
    inner = {name: sorted(filter(split_of, branch.folders)) for name, branch in sorted(classes.items())}
    if reversed_ := [f"{name}/{split}" for name, splits in inner.items() for split in splits]:
        name, split = next((name, splits[0]) for name, splits in inner.items() if splits)
        raise FolderError(
            f"split folders stand inside class folders ({listed(reversed_)}); a split stands above its classes: turn "
            f"{shown(name)}/{shown(split)}/ into {shown(split)}/{shown(name)}/, and so with every class; if these are "
            "no splits, give the folders other names"
        )

    # folders of folders, where the names do not say which level is meant
    if classes and not any(branch.direct for branch in classes.values()) and not _is_one_folder_each(classes):
        deep = sorted({folder for branch in classes.values() for folder in branch.folders})
        raise FolderError(
            f"no photo lies directly in a folder of {start}: {listed(sorted(classes))} hold only folders "
            f"({listed(deep)}), and a class folder holds its photos itself. {_advice(classes, deep=deep, start=start)}"
        )


def _advice(classes: Mapping[str, Branch], *, deep: Sequence[str], start: str) -> str:
    """Say what to do with folders of folders."""
    if _look_like_splits(classes):
        splits = _named_after_splits(classes)
        name = next((name for name in sorted(splits) if splits[name] == "train"), sorted(splits)[0])
        way = [name, *_way_to_photos(classes[name])]
        return (
            f"{listed(sorted(splits))} look like splits: name them train, valid and test, and put the class folders "
            f"directly into them, as by moving {start}{'/'.join(map(shown, way))}/ to "
            f"{start}{_FOLDER_OF[splits[name]]}/{shown(way[-1])}/; photos without a class are no part of the data set"
        )
    first, below = sorted(classes)[0], deep[0]
    return (
        f"If the classes are {listed(sorted(classes))}, move the photos up, {start}{shown(first)}/<photo>; if they are "
        f"{listed(deep)}, move these folders up, {start}{shown(below)}/<photo>"
    )


def _check_single(name: str, branch: Branch, *, above: Sequence[str], start: str) -> None:
    """Refuse a single folder that holds folders: it is a zip file's top folder, or the data set's own name."""
    path = f"{start}{shown(name)}/"
    while len(branch.folders) == 1 and not branch.direct:
        name, branch = next(iter(branch.folders.items()))
        path += f"{shown(name)}/"
    if branch.folders:
        move = f"ove what is in it up into {start}"
        raise FolderError(
            f"everything lies in one folder, {path}, whose folders ({listed(sorted(branch.folders))}) look like "
            f"{'splits' if all(map(split_of, branch.folders)) else 'the classes'}: one level too many. "
            + (
                f"M{move}, and so in every split"
                if above
                else f"Give {path} as the data set (`whippet upload` takes it as its folder, a run as its "
                f"dataset_prefix), or m{move}"
            )
        )


def _is_one_folder_each(classes: Mapping[str, Branch]) -> bool:
    """Return whether the folders in between cannot be classes: `cat/images/`, `dog/images/`, or `cat/cat/`."""
    if _look_like_splits(classes):
        return False
    only = {name: list(branch.folders) for name, branch in classes.items()}
    if any(len(folders) != 1 or classes[name].folders[folders[0]].folders for name, folders in only.items()):
        return False
    names = {folders[0] for folders in only.values()}
    return len(names) == 1 or all(folders == [name] for name, folders in only.items())


def _named_after_splits(names: Iterable[str]) -> dict[str, SplitName]:
    """Return the names that are a split's, or hold one among other words as `seg_train` does, with that split."""
    found: dict[str, SplitName] = {}
    for name in names:
        words = [split for word in re.split(r"[^a-z]+", name.lower()) if (split := split_of(word))]
        if split := split_of(name) or next(iter(words), None):
            found[name] = split
    return found


def _all_look_like_splits(names: Sequence[str]) -> bool:
    return all(map(split_of, names)) or (_look_like_splits(names) and len(_named_after_splits(names)) == len(names))


def _look_like_splits(names: Iterable[str]) -> bool:
    """Return whether names stand for different splits; one alone, such as `train station`, may well be a class."""
    return len(set(_named_after_splits(names).values())) > 1


def _way_to_photos(branch: Branch) -> list[str]:
    """Return the names of the folders from this one down to the first that holds photos itself."""
    if branch.direct:
        return []
    name = sorted(branch.folders)[0]
    return [name, *_way_to_photos(branch.folders[name])]
