"""Features that an earlier run computed: of the same photos, or of other photos in the same way.

They lie at `features/<transform key>/<features key>/<job>/output/model/`, so that a prefix tells one from the other.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from training.contract import Artefact, FeaturesIndex

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["find_features"]


def find_features(s3: S3Client, *, bucket: str, prefix: str) -> str | None:
    """Key prefix of complete features below `prefix` (the newest ones), or None.

    Complete means: the index is there, and every file it lists, with the size it says; a job that was stopped while
    its output was uploaded leaves less.
    """
    sizes: dict[str, int] = {}
    indices: list[tuple[datetime, str]] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            sizes[item["Key"]] = item["Size"]
            if item["Key"].endswith(f"/{Artefact.FEATURES_INDEX}"):
                indices.append((item["LastModified"], item["Key"]))
    for _, key in sorted(indices, reverse=True):
        folder = key.removesuffix(Artefact.FEATURES_INDEX)
        index: FeaturesIndex = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if all(sizes.get(folder + file["name"]) == file["bytes"] for file in index["files"]):
            return folder
    return None
