"""Photos that were changed or removed while a run was going on: what the jobs read is then not what was checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import contract

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["DatasetChanges", "find_changes"]


@dataclass(frozen=True)
class DatasetChanges:
    """Paths of photos of the manifest that are no longer what CheckDataset listed, sorted."""

    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


def find_changes(s3: S3Client, *, bucket: str, run: str, prefix: str) -> DatasetChanges:
    """Compare the bucket with the manifest of a run. 100,000 photos take 100 calls."""
    # what CheckDataset listed
    key = f"{contract.RUNS_PREFIX}{run}/manifest/{contract.Artefact.MANIFEST}"
    listed: dict[str, str] = {}
    for line in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_lines():
        record: contract.ImageRecord = json.loads(line)
        listed[record["path"]] = record["etag"]

    # what is there now
    changed = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            path = item["Key"].removeprefix(prefix)
            if listed.pop(path, item["ETag"].strip('"')) != item["ETag"].strip('"'):
                changed.append(path)
    return DatasetChanges(changed=sorted(changed), removed=sorted(listed))
