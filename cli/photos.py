"""Photos on this machine: the files of a folder, and which of them are photos of a class."""

from __future__ import annotations

import mimetypes
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli import CliError
from contract import GROUPS_FILE, PHOTO_SUFFIXES, FolderError, LeftOut, SplitName, read_folders

__all__ = ["FolderWalk", "Photos", "find_photos", "media_type"]


@dataclass(frozen=True)
class Photos:
    """The photos in the class folders below `folder`."""

    folder: Path
    paths: tuple[Path, ...]
    """Relative to `folder`, sorted."""
    labels: tuple[str, ...]
    """Class of each."""
    splits: tuple[SplitName | None, ...] = ()
    """Split of each as its folder gives it; None where the folders give none."""
    left_out: tuple[LeftOut, ...] = ()
    """Every other file, with the reason."""
    remarks: tuple[str, ...] = ()
    """What a person should know about how the folders were understood."""
    has_groups: bool = False
    """Whether `GROUPS_FILE` is there."""
    made: Mapping[Path, bytes] = field(default_factory=dict)
    """Files that are uploaded with the photos and are not in the folder: their content by their path."""

    @property
    def classes(self) -> Counter[str]:
        """Number of photos of each class."""
        return Counter(self.labels)

    @property
    def files(self) -> tuple[Path, ...]:
        """What an upload sends: the photos, and the files with their groups."""
        groups = (Path(GROUPS_FILE),) if self.has_groups else ()
        return (*self.paths, *groups, *self.made)

    def content(self, path: Path) -> bytes:
        """Return the content of a file that an upload sends.

        Raises:
            OSError: it cannot be read.
        """
        return self.made[path] if path in self.made else (self.folder / path).read_bytes()


def find_photos(folder: Path) -> Photos:
    """List the photos of `folder/<class>/…` or `folder/{train,valid,test}/<class>/…`, links followed.

    Raises:
        CliError: `folder` is not a folder, holds no photos in class folders, or its classes cannot be told.
    """
    if not folder.is_dir():
        raise CliError(f"{folder} is not a folder: give the folder that holds a subfolder of photos for each class")

    # what is there, links followed
    walk = FolderWalk(folder)
    sizes = sorted(walk.files())
    try:
        folders = read_folders(sizes, place=f"{folder}/")
    except FolderError as error:
        raise CliError(str(error)) from None

    left_out = sorted([*folders.left_out, *walk.left_out], key=lambda file: file["path"])
    if not folders.photos:
        others = "".join(f"\n  {file['path']}: {file['reason']}" for file in left_out[:5])
        raise CliError(
            f"{folder} holds no photos in class folders: expected {folder}/<class>/photo.jpg or "
            f"{folder}/train/<class>/photo.jpg; a photo's name ends in one of {', '.join(sorted(PHOTO_SUFFIXES))}"
            f"{others}"
        )
    return Photos(
        folder=folder,
        paths=tuple(Path(photo.path) for photo in folders.photos),
        labels=tuple(photo.label for photo in folders.photos),
        splits=tuple(photo.split for photo in folders.photos),
        left_out=tuple(left_out),
        remarks=tuple(folders.remarks),
        has_groups=folders.has_groups,
    )


def media_type(file: Path) -> str:
    """Return a file's media type, judged by its name."""
    # what some systems' tables lack
    if more := {".jfif": "image/jpeg", ".jpe": "image/jpeg", ".avif": "image/avif"}.get(file.suffix.lower()):
        return more
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


@dataclass
class FolderWalk:
    """Walks through a folder as `aws s3 sync` does: linked files and folders count as what they lead to."""

    root: Path
    left_out: list[LeftOut] = field(default_factory=list)
    """What is no file: links that lead nowhere or back, pipes and sockets, folders that may not be read."""

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield the path of each file, relative to the folder and with slashes, and its size in bytes."""
        yield from self._below(self.root, above=frozenset({self.root.resolve()}))

    def _below(self, folder: Path, *, above: frozenset[Path]) -> Iterator[tuple[str, int]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except PermissionError:
            self._leave_out(folder, "it is a folder that you may not read")
            return
        for entry in entries:
            path = Path(entry.path)
            if not _is_utf8(entry.name):
                self._leave_out(path, "its name is not UTF-8, which S3 takes for names; rename it")
            elif entry.is_dir():
                real = path.resolve()
                if real in above:
                    self._leave_out(path, "it is a link to a folder that it lies in")
                else:
                    yield from self._below(path, above=above | {real})
            elif entry.is_file():
                yield self._relative(path), entry.stat().st_size
            elif entry.is_symlink():
                self._leave_out(path, "it is a link that leads nowhere")
            else:
                self._leave_out(path, "it is no regular file")

    def _leave_out(self, path: Path, reason: str) -> None:
        readable = self._relative(path).encode(errors="backslashreplace").decode()
        self.left_out.append(LeftOut(path=readable, reason=reason))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _is_utf8(name: str) -> bool:
    """Return whether a name is text; Python reads bytes of a name that are not UTF-8 as surrogates (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
