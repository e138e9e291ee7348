"""Photos that are in two splits, counted from the manifest that the training read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from contract import Artefact, DatasetSummary, ImageRecord, Leakage, content_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["find_leakage"]

_EXAMPLES = 5


def find_leakage(s3: S3Client, *, bucket: str, run: str) -> Leakage:
    """Compare the contents of the test and validation photos with those of the training photos."""
    folder = f"runs/{run}/manifest/"

    # collect the training photos by their content, and all others
    trained: dict[str, str] = {}
    held_out: list[ImageRecord] = []
    body = s3.get_object(Bucket=bucket, Key=folder + Artefact.MANIFEST)["Body"]
    for line in body.iter_lines():
        record: ImageRecord = json.loads(line)
        if record["split"] == "train":
            trained.setdefault(content_of(record), record["path"])
        else:
            held_out.append(record)

    # count those of the others that are training photos as well
    remaining = [record for record in held_out if content_of(record) in trained]
    summary: DatasetSummary = json.loads(
        s3.get_object(Bucket=bucket, Key=folder + Artefact.DATASET_SUMMARY)["Body"].read()
    )
    return Leakage(
        left_out=summary["duplicates_across_splits"],
        remaining=len(remaining),
        examples=[f"{record['path']} is {trained[content_of(record)]}" for record in remaining[:_EXAMPLES]],
    )
