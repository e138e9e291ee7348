"""Reading and writing small objects in S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from .aws_errors import is_missing_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["read_if_present", "write_json"]


def read_if_present(s3: S3Client, *, bucket: str, key: str) -> bytes | None:
    """Return the content of an object, or None where there is no such object."""
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if is_missing_object(error):
            return None
        raise


def write_json(s3: S3Client, *, bucket: str, key: str, value: object) -> str:
    """Write a value as indented JSON, and return the object's S3 URI."""
    body = json.dumps(value, ensure_ascii=False, indent=2).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return f"s3://{bucket}/{key}"
