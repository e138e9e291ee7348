"""Deletion of every version of every object in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from shared.aws_errors import is_missing_bucket
from shared.custom_resource import Deadline
from shared.patience import patiently

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

__all__ = ["BucketNotEmptied", "empty_bucket"]

logger = Logger(child=True)


class BucketNotEmptied(Exception):
    """S3 refused to delete objects; the message names the first."""


def empty_bucket(s3: S3Client, bucket: str, deadline: Deadline) -> None:
    """Delete everything in a bucket, a page of 1,000 versions at a time.

    Raises:
        BucketNotEmptied: S3 refused to delete an object.
        OutOfTime: the bucket holds more than the function can delete in its time.
    """
    doing = f"emptying the bucket {bucket}"

    def delete_all() -> int:
        deleted = 0
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects: list[ObjectIdentifierTypeDef] = [
                {"Key": item["Key"], "VersionId": item["VersionId"]} for item in found
            ]
            deadline.check(f"{doing} ({deleted} objects deleted so far)")
            if objects:
                _delete(s3, bucket, objects)
            deleted += len(objects)
            # the next page is another call
            deadline.check(f"{doing} ({deleted} objects deleted so far)")
        return deleted

    try:
        count = patiently(delete_all, deadline=deadline, doing=doing)
    except ClientError as error:
        if not is_missing_bucket(error):
            raise
        count = 0
    logger.info("bucket emptied", extra={"bucket": bucket, "deleted": count})


def _delete(s3: S3Client, bucket: str, objects: list[ObjectIdentifierTypeDef]) -> None:
    errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
    if errors:
        raise BucketNotEmptied(
            f"{errors[0].get('Key')} in {bucket} stays: {errors[0].get('Message')}; delete it by hand, then "
            "destroy the stack again"
        )
