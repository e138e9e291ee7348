"""The S3 client of the data bucket, for what callers of the API upload and send."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["new_s3_client"]

_CLIENT: Final = threading.Lock()
"""Held while the client is made, which boto3's default session does for one thread at a time."""

_CONFIG: Final = Config(
    connect_timeout=2,
    read_timeout=4,
    retries={"total_max_attempts": 2},
    signature_version="s3v4",
    # the forms then name the region's host: the global one redirects a new bucket's uploads, which browsers refuse
    s3={"addressing_style": "virtual"},
)


def new_s3_client() -> S3Client:
    """Make a client."""
    with _CLIENT:
        return boto3.client("s3", config=_CONFIG)
