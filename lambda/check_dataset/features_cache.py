"""Features that an earlier run computed: of the same photos, or of other photos in the same way.

They lie at `features/<spec key>/<features key>/<job>/output/model/`, so that a prefix tells one from the other.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

from contract import Artefact, FeaturesIndex

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["find_features"]

_PART = re.compile(r"part-\d+-of-\d+/$")
"""Folder of one host's part: `contract.features_part_folder`."""


def find_features(s3: S3Client, *, bucket: str, prefix: str) -> str | None:
    """Key prefix of complete features below `prefix` (the newest ones), or None.

    Complete means: the index is there, of each host where there were several, and every file it lists, with the size
    it says; a job that was stopped while its output was uploaded leaves less.
    """
    sizes: dict[str, int] = {}
    found: dict[str, tuple[datetime, list[str]]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            sizes[item["Key"]] = item["Size"]
            if item["Key"].endswith(f"/{Artefact.FEATURES_INDEX}"):
                part = item["Key"].removesuffix(Artefact.FEATURES_INDEX)
                folder = _PART.sub("", part)
                newest, parts = found.get(folder, (item["LastModified"], []))
                found[folder] = max(newest, item["LastModified"]), [*parts, part]
    for folder, (_, parts) in sorted(found.items(), key=lambda entry: entry[1][0], reverse=True):
        if _complete(s3, bucket=bucket, parts=parts, sizes=sizes):
            return folder
    return None


def _complete(s3: S3Client, *, bucket: str, parts: list[str], sizes: dict[str, int]) -> bool:
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
