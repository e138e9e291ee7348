"""What an earlier attempt wrote when it had done everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from shared.aws_errors import is_unreadable_object

import contract

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["read_tidied"]


def read_tidied(s3: S3Client, *, bucket: str, run: str) -> contract.TidiedRun | None:
    """Return the record of a run that was tidied up; None where there is none yet."""
    try:
        body = s3.get_object(Bucket=bucket, Key=contract.tidied_key(run))["Body"]
    except ClientError as error:
        if is_unreadable_object(error):
            return None
        raise
    tidied: contract.TidiedRun = json.loads(body.read())
    return tidied
