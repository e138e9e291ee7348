"""Features that an earlier run computed: of the same photos, or of other photos with the same recipe.

They are kept at `features/<recipe>/<features key>/<job>/output/model/`. The recipe is `contract.feature_spec_key`:
backbone, weights and everything else that decides on the features of a photo. Where the search chooses among backbones,
the recipe names all of them, and each has a folder of its own there: they are used, or extended, all together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import contract
from contract import Artefact, FeaturesIndex

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["CachedFeatures", "FeaturesFolder", "find_cached_features", "find_features"]

_BELOW_JOB = re.compile(r"(?P<backbone>backbone-[^/]+/)?(part-\d+-of-\d+/)?$")
"""Folders of one backbone, of several, and of one host's part: `backbone_folder` and `features_part_folder`."""


@dataclass(frozen=True, kw_only=True)
class FeaturesFolder:
    """Where features are kept."""

    recipe: str
    """Key prefix of all features with the same recipe."""
    key: str
    """`features_key`: the recipe and the photos."""
    backbones: tuple[str, ...] = ()
    """Backbones that the search chooses among; none: there is only one."""

    @property
    def prefix(self) -> str:
        """The key prefix of the features of these photos."""
        return f"{self.recipe}{self.key}/"


@dataclass(frozen=True, kw_only=True)
class CachedFeatures:
    """Key prefixes of complete features with the same recipe; None where there are none."""

    same_photos: str | None
    other_photos: str | None


def find_cached_features(s3: S3Client, *, bucket: str, folder: FeaturesFolder) -> CachedFeatures:
    """Look for features of the same photos first, and for those of other photos where there are none."""
    same = find_features(s3, bucket=bucket, prefix=folder.prefix, backbones=folder.backbones)
    other = None if same else find_features(s3, bucket=bucket, prefix=folder.recipe, backbones=folder.backbones)
    return CachedFeatures(same_photos=same, other_photos=other)


def find_features(s3: S3Client, *, bucket: str, prefix: str, backbones: Sequence[str] = ()) -> str | None:
    """Return the key prefix of the newest complete features below `prefix`, or None.

    Features are complete when the index of every host is there, for each of several backbones, and every file that an
    index lists has the size that the index says. A job that is stopped during its upload leaves less.
    """
    sizes: dict[str, int] = {}
    found: dict[str, tuple[datetime, list[str]]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            sizes[item["Key"]] = item["Size"]

            # An index marks a job's output, or a host's part of it.
            if item["Key"].endswith(f"/{Artefact.FEATURES_INDEX}"):
                part = item["Key"].removesuffix(Artefact.FEATURES_INDEX)
                folder = _BELOW_JOB.sub("", part)
                newest, parts = found.get(folder, (item["LastModified"], []))
                found[folder] = max(newest, item["LastModified"]), [*parts, part]

    expected = {f"{contract.backbone_folder(name)}/" for name in backbones} or {""}
    for folder, (_, parts) in sorted(found.items(), key=lambda entry: entry[1][0], reverse=True):
        of_backbones = _by_backbone(parts)
        if set(of_backbones) == expected and all(
            _complete(s3, bucket=bucket, parts=own, sizes=sizes) for own in of_backbones.values()
        ):
            return folder
    return None


def _by_backbone(parts: list[str]) -> dict[str, list[str]]:
    """Return the parts by their backbone's folder, which is empty where there is only one backbone."""
    found: dict[str, list[str]] = {}
    for part in parts:
        below = _BELOW_JOB.search(part)
        found.setdefault((below and below["backbone"]) or "", []).append(part)
    return found


def _complete(s3: S3Client, *, bucket: str, parts: list[str], sizes: dict[str, int]) -> bool:
    """Return whether the features of one backbone are whole."""
    numbers: set[int] = set()
    expected: set[int] = set()
    for part in parts:
        body = s3.get_object(Bucket=bucket, Key=part + Artefact.FEATURES_INDEX)["Body"].read()
        index: FeaturesIndex = json.loads(body)
        if any(sizes.get(part + file["name"]) != file["bytes"] for file in index["files"]):
            return False
        numbers.add(index["part"]["number"])
        expected |= set(range(index["part"]["of"]))
    return numbers == expected
