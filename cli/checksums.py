"""Which files a bucket with KMS holds already: there an ETag is not the content's MD5, and S3 knows its SHA-256."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cli.photos import Photos

__all__ = ["held_under_kms", "sha256"]

_THREADS = 16


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a content as S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


def held_under_kms(s3: Any, *, photos: Photos, bucket: str, keys: Mapping[Path, str]) -> set[Path]:
    """Return the files whose content their objects hold, in a bucket with KMS; none in any other.

    It costs a request for each file there, and one in other buckets.

    Args:
        s3: The S3 client.
        photos: The folder's photos.
        bucket: Name of the bucket.
        keys: The object of each file whose ETag is not its MD5.
    """

    def head(key: str) -> dict[str, Any]:
        answer: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        return answer

    if not keys or not head(next(iter(keys.values()))).get("ServerSideEncryption", "").startswith("aws:kms"):
        return set()
    with ThreadPoolExecutor(_THREADS) as threads:
        known = threads.map(lambda key: head(key).get("ChecksumSHA256"), keys.values())
        return {path for path, digest in zip(keys, known, strict=True) if digest == sha256(photos.content(path))}
