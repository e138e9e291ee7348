"""Taking and giving back the release lock, by S3's conditional writes: of two who write at once one is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract

from .aws_errors import is_already_there, is_unreadable_object, was_written_meanwhile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["give_back_lock", "read_lock", "take_lock"]


def take_lock(
    s3: S3Client,
    *,
    bucket: str,
    key: str,
    wanted: contract.ReleaseLock,
    abandoned: Callable[[contract.ReleaseLock], bool],
) -> contract.ReleaseLock:
    """Take the lock where it is free, ours or abandoned, and return what it says then: ours, or another's.

    Args:
        s3: The client.
        bucket: Name of the data bucket.
        key: `contract.release_lock_key`.
        wanted: What the lock is to say.
        abandoned: Whether another's hold is none any more.
    """
    # the first of an environment; this also tells a missing object from one that may not be read
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=_body(wanted), ContentType="application/json", IfNoneMatch="*")
        return wanted
    except ClientError as error:
        if not (is_already_there(error) or was_written_meanwhile(error)):
            raise

    # whose is it?
    lock, etag = _read(s3, bucket=bucket, key=key)
    if lock["holder"] == wanted["holder"]:
        return lock
    if lock["holder"] != contract.NO_HOLDER and not abandoned(lock):
        return lock

    # take it, unless somebody else has done so since
    return wanted if _replace(s3, bucket=bucket, key=key, etag=etag, lock=wanted) else lock


def give_back_lock(s3: S3Client, *, bucket: str, key: str, holder: str, at: str) -> bool:
    """Give the lock back where `holder` holds it, and return whether it did."""
    found = read_lock(s3, bucket=bucket, key=key)
    if found is None or found[0]["holder"] != holder:
        return False
    free = contract.ReleaseLock(holder=contract.NO_HOLDER, run="", at=at, until="")
    return _replace(s3, bucket=bucket, key=key, etag=found[1], lock=free)


def read_lock(s3: S3Client, *, bucket: str, key: str) -> tuple[contract.ReleaseLock, str] | None:
    """Return what the lock says, and its ETag; None where nobody has ever taken it."""
    try:
        return _read(s3, bucket=bucket, key=key)
    except ClientError as error:
        if is_unreadable_object(error):
            return None
        raise


def _read(s3: S3Client, *, bucket: str, key: str) -> tuple[contract.ReleaseLock, str]:
    found = s3.get_object(Bucket=bucket, Key=key)
    lock: contract.ReleaseLock = json.loads(found["Body"].read())
    return lock, found["ETag"]


def _replace(s3: S3Client, *, bucket: str, key: str, etag: str, lock: contract.ReleaseLock) -> bool:
    """Write the lock if nobody has since its ETag was read, and return whether nobody had."""
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=_body(lock), ContentType="application/json", IfMatch=etag)
    except ClientError as error:
        if was_written_meanwhile(error):
            return False
        raise
    return True


def _body(lock: contract.ReleaseLock) -> bytes:
    return json.dumps(lock, indent=2).encode()
