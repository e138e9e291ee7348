"""The data set in the bucket as feedback meets it: its classes, its photos by their content, and where new ones go."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import contract
from cli import CliError
from contract.class_names import look

__all__ = ["BucketDataset", "Place"]


@dataclass(frozen=True)
class Place:
    """A photo of the data set."""

    path: str
    """Below the data set's prefix."""
    label: str


@dataclass(frozen=True)
class BucketDataset:
    """The photos below the data set's prefix."""

    bucket: str
    prefix: str
    sizes: Mapping[str, int]
    """Bytes of each file, by its path below the prefix."""
    by_etag: Mapping[str, list[Place]]
    classes: Counter[str]
    top: str
    """Folder of the training photos, with a slash at its end; empty where the folders give no splits."""

    @classmethod
    def read(cls, s3: Any, *, bucket: str, prefix: str) -> BucketDataset:
        """List the data set.

        Raises:
            CliError: its folders cannot be understood.
        """
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        listed = {item["Key"].removeprefix(prefix): item for page in pages for item in page.get("Contents", [])}
        sizes = {path: item["Size"] for path, item in listed.items()}
        folders = _read(sizes, place=f"s3://{bucket}/{prefix}")

        by_etag = defaultdict(list)
        for photo in folders.photos:
            by_etag[listed[photo.path]["ETag"].strip('"')].append(Place(photo.path, photo.label))
        tops = sorted({f"{photo.path.partition('/')[0]}/" for photo in folders.photos if photo.split == "train"})
        return cls(
            bucket=bucket,
            prefix=prefix,
            sizes=sizes,
            by_etag=dict(by_etag),
            classes=Counter(photo.label for photo in folders.photos),
            top=(tops or ["train/"])[0] if folders.splits_given else "",
        )

    def holding(self, photo: bytes) -> list[Place]:
        """Return where the data set has a photo with this content: its ETag is the MD5, as `whippet upload` sees to."""
        return self.by_etag.get(hashlib.md5(photo, usedforsecurity=False).hexdigest(), [])

    def alike(self, label: str) -> str | None:
        """Return the class whose name looks the same as a label that is no class."""
        return next((name for name in self.classes if look(name) == look(label)), None)

    def path_of(self, record: contract.Feedback, label: str) -> str:
        """Return where a photo of feedback goes: into its class's folder, named by its content."""
        return f"{self.top}{label}/feedback-{record['content'][:32]}{PurePosixPath(record['photo']).suffix}"

    def check_with(self, paths: Iterable[str]) -> None:
        """Check that the folders can be understood with these photos, too.

        Raises:
            CliError: they cannot.
        """
        _read(dict(self.sizes) | dict.fromkeys(paths, 1), place=f"s3://{self.bucket}/{self.prefix}")


def _read(sizes: Mapping[str, int], *, place: str) -> contract.DatasetFolders:
    try:
        return contract.read_folders(sizes.items(), place=place)
    except contract.FolderError as error:
        raise CliError(f"{error}. Nothing was changed") from None
