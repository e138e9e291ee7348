"""Links into the AWS console."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["object_link"]


def object_link(bucket: str, key: str, *, region: str) -> str:
    """An object in S3; the console offers to open or download it."""
    return f"https://{region}.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={quote(key)}"
