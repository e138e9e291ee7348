"""The releases that the endpoint can fall back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import contract

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["earlier_configs"]


def earlier_configs(s3: S3Client, *, bucket: str, prefix: str, current: str, kept: int) -> list[str]:
    """Return the names of the endpoint configurations of the last releases before the current one, the newest first.

    Args:
        s3: The client.
        bucket: Name of the data bucket, which holds the records of releases.
        prefix: The environment's prefix of names.
        current: The configuration in service, whose own record may be missing.
        kept: How many to return at most.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=contract.RELEASES_PREFIX)
    changes = [contract.ReleaseChange.of_key(item["Key"]) for page in pages for item in page.get("Contents", [])]
    lineage = contract.release_lineage(change for change in changes if change is not None)
    earlier = [contract.job_prefix(prefix, run) for run in reversed(lineage)]
    return [config for config in earlier if config != current][:kept]
